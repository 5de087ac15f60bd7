"""Text that others wrote, made safe to show: on a terminal, and in every form of a table.

Text from a record, a plugin or a file may hold anything: control sequences of a terminal, marks that turn the direction
of writing, markup of the form that it is shown in. Ordinary text of any language passes unchanged.
"""

import html as _html
import json
import re
from collections.abc import Mapping
from typing import Any

_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_BREAKS_WITHIN_LINES = re.compile("[\t\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Invisible characters with an effect, except the line feed, and except joiners and variation selectors, which ordinary
words and emoji are written with."""

_SPACES = re.compile(" +")
_SURROGATE = re.compile("[\ud800-\udfff]")

_MARKDOWN = re.compile(
    r"""
    \\(?=[!-/:-@\[-`{-~])             # a backslash that would escape what follows
    | [`|$]
    | [*~](?=\S)                      # would open emphasis or a deletion
    | (?<!\w)_+                       # likewise; within a word it is literal
    | \](?=[(\[])                     # would end the text of a link
    | <(?=[A-Za-z/!?])                # would open a tag
    | &(?=\#?\w+;)                    # would be a character
    """,
    re.VERBOSE,
)
_ENTITIES = {"<": "&lt;", "&": "&amp;"}
_BLOCK = re.compile(r"[-+*\#>=\[]|\d+(?=[.)])")
"""Signs that make the beginning of a paragraph a list, a heading, a quotation or the target of a link."""

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"<": r"\textless ", ">": r"\textgreater ", "|": r"\textbar "}
    | {"\\": r"\textbackslash ", "~": r"\textasciitilde ", "^": r"\textasciicircum "}
)
_LATEX_MATHS = {
    "−": "-", "≤": r"\le", "≥": r"\ge", "≈": r"\approx", "∞": r"\infty", "→": r"\to", "√": r"\surd",
    "Σ": r"\Sigma", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\epsilon",
    "λ": r"\lambda", "μ": r"\mu", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "χ": r"\chi",
    "ᵀ": r"^T", "ᵖ": r"^p",
}  # fmt: skip
_LATEX_BEYOND_ASCII = re.compile("[^\x00-\x7f¡-ÿ–—‘’“”…]|[«»ÐÞðþ]")
"""Characters that LaTeX does not know without further packages, unless it reads Unicode fonts, as LuaLaTeX does."""

_LATEX_SPACE = re.compile(r"(\\text(?:backslash|asciitilde|asciicircum|less|greater|bar) ) ")

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Characters that a spreadsheet takes for the beginning of a formula."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Text for a terminal: invisible characters are written as Python escapes, such as `\x1b`.

    Line feeds stay if `lines` is set; otherwise they become spaces, and the text is one line.
    """
    return _UNSEEN.sub(_escape, (_BREAKS_WITHIN_LINES if lines else _BREAKS).sub(" ", text))


def markdown(text: str) -> str:
    """Text within a line of Markdown or a cell of its table, which CommonMark and GitHub show as it is."""
    return _MARKDOWN.sub(_markdown, _SPACES.sub(" ", visible(text)).strip())


def paragraph(text: str) -> str:
    """Text as a paragraph of Markdown, which does not begin a list, a heading or another block."""
    inline = markdown(text)
    found = _BLOCK.match(inline)
    if found is None:
        return inline
    sign = found.group()
    return (f"{sign}\\" if sign.isdecimal() else f"\\{sign}") + inline[len(sign) :]


def latex(text: str) -> str:
    """Text of a LaTeX document; a character that pdfLaTeX has no glyph for is there written as a Python escape."""
    escaped = _LATEX_SPACE.sub(r"\1\\space ", visible(text).translate(_LATEX))
    return _LATEX_BEYOND_ASCII.sub(_latex, re.sub("(?<=-)-", "{}-", escaped))  # two would become a dash


def html(text: str) -> str:
    """Text of an HTML element."""
    return _html.escape(visible(text), quote=False)


def csv(value: Any) -> Any:
    """A cell of CSV; text is changed so that no spreadsheet takes it for a formula, other values stay.

    A formula gets a quotation mark before it, and so does what begins with such marks and then a formula, so that
    `from_csv` can take it away again.
    """
    if not isinstance(value, str):
        return value
    return f"'{visible(value, lines=True)}" if _is_formula(value) else visible(value, lines=True)


def from_csv(text: str) -> str:
    """The text that `csv` wrote, with escapes in place of what is not seen."""
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    """Whether text is a formula to a spreadsheet, or would be without the quotation marks that it begins with."""
    return text.lstrip("'").lstrip().startswith(FORMULA) or text.lstrip().startswith(FORMULA)


def json_text(value: Any) -> str:
    """Plain data as strict JSON, in ASCII; half of a surrogate pair, which is no character, is written as an escape."""
    return json.dumps(_characters(value), indent=1, allow_nan=False).replace("\x7f", "\\u007f")


def _characters(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub(_escape, value)
    if isinstance(value, Mapping):
        return {_characters(key): _characters(item) for key, item in value.items()}
    return [_characters(item) for item in value] if isinstance(value, list | tuple) else value


def _latex(found: re.Match[str]) -> str:
    sign = found.group()
    if sign in _LATEX_MATHS:
        return rf"\ensuremath{{{_LATEX_MATHS[sign]}}}"
    escape = _escape(found).replace("\\", r"\textbackslash ")
    return rf"\ifdefined\Umathchar {sign}\else {escape}\fi{{}}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _markdown(found: re.Match[str]) -> str:
    sign = found.group()
    return _ENTITIES.get(sign) or "".join(f"\\{character}" for character in sign)
