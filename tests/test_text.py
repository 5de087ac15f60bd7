"""Text that others wrote does no harm on a terminal or in any form of a table, and ordinary text passes as it is."""

import csv as csv_files
import html as html_entities
import io
import json
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from helpers.command import call
from rbench import text
from rbench.report import footnotes, render, render_history, written_notes
from rbench.report.display import display
from rbench.report.ranking import render_ranking
from rbench.run import Budget, Record, Training
from rbench.run.record import write_record

LOOKS = ["markdown", "latex", "html", "terminal"]
UNSEEN = {
    "colour": "\x1b[31mred\x1b[0m",
    "title of the window": "\x1b]0;mine\x07",
    "link of a terminal": "\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\",
    "eight-bit control": "\x9b2J",
    "nul": "a\0b",
    "backspace and delete": "ok\x08\x7f",
    "overwriting": "failed\rok    ",
    "override": "\u202egnp\u202c",
    "isolate": "\u2066a\u2069",
    "marks of direction": "\u200ea\u200f\u061c",
    "half a pair": "a\ud800b\udfff",
    "separators": "a\u2028b\u2029c\x85d",
    "no width": "a\u200bb\ufeffc\u2060d\xad",
    "tag characters": "a\U000e0041b",
}
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0041]"
)
ORDINARY = [
    "Σ n d² + d³ × ½ – “é” ß",
    "学習率 0.1　高",
    "‖z − y‖² ≤ 1",
    "नमस्ते क्‍ष",
    "می‌خواهم",
    "👩‍🔬 ❤️",
    "C:\\data\\x",
    "a_b[c=0.1,d=[1,2]]",
]

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LATEX_NAMES = ("backslash", "asciitilde", "asciicircum", "less", "greater", "bar")
CODE = [
    "<script>alert(1)</script>", "[a](javascript:alert(1))", "![a](javascript:alert(1))", "<javascript:alert(1)>",
    "[a][b]", "`code`", "``", "*a*", "**a**", "_a_", "__init__", "a_b_c", "~a~ ~~b~~", "a | b", "\\|", "\\", "\\\\*a*",
    "\\[a](b)", "&lt;b&gt; &#x202e; &amp", "<!-- a -->", "a < b & c > d", "# a", "- a", "+ a", "* a", "> a", "1. a",
    "2) a", "=== ", "---", "***", "~~~", "```", "[x]: javascript:1", "$a$", "  indented", "a <b", "</td>",
    "<![CDATA[x]]>",
]  # fmt: skip


def record(words, seed=0, method=None, **figures):
    cell = Training(suite="s", task=words, method=method or words, backend="numpy", seed=seed, budget=Budget(steps=5))
    figures = {"device": "cpu", "test_loss": 1.0 + seed} | figures
    history = [{"step": 0, "seconds": 0.0, "test_loss": 1.0}]
    machine = {"cpu": words, "rbench": words, "libraries": {"numpy": words}}
    return Record(cell=cell, status="diverged", reason=words, figures=figures, history=history, provenance=machine)


@pytest.mark.parametrize("words", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_is_written_out_in_every_form(words):
    records = [record(words), record(words, 1), record(words, method="sgd").model_copy(update={"status": "ok"})]
    shown = [render(records, form) for form in ("csv", "json", *LOOKS)]
    shown += [written_notes(footnotes(records), form) for form in LOOKS]
    shown += [render_history(records, form) for form in ("csv", "json")]
    shown += [render_ranking(records, form) for form in ("csv", "json", *LOOKS)]
    for found in shown:
        assert FORBIDDEN.findall(found) == []


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("words", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_is_written_out_on_a_terminal(words, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=200)
    with display(console) as shown:
        shown.warn(words)
        shown.end(record(f"[bold]{words}"))
    found = console.file.getvalue() + render([record(f"[bold]{words}")], "terminal")
    assert FORBIDDEN.findall(re.sub("\x1b\\[[0-9;]*m", "", found)) == []
    assert "[bold]" in found


@pytest.mark.parametrize("words", ORDINARY)
def test_ordinary_text_passes(words):
    assert text.visible(words) == text.html(words) == text.csv(words) == words
    assert words in shown_inline(text.markdown(words))
    assert json.loads(text.json_text([words])) == [words]


def shown_inline(source):
    return html_entities.unescape(re.sub("</?p>", "", MARKDOWN.render(source))).strip()


class Seen(HTMLParser):
    """Elements of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.data = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.data += data


@pytest.mark.parametrize("words", CODE)
class TestCode:
    def test_markdown_shows_it_as_it_is(self, words):
        page = Seen(MARKDOWN.render(text.paragraph(words)))
        assert (page.tags, page.data.strip()) == (["p"], words.strip())
        table = Seen(MARKDOWN.render(f"| a | b |\n|---|---|\n| {text.markdown(words)} | c |"))
        assert (table.tags.count("td"), {*table.tags} - {"table", "thead", "tbody", "tr", "th", "td"}) == (2, set())
        assert words.strip() in table.data

    def test_html_shows_it_as_it_is(self, words):
        page = Seen(render([record(words)], "html") + written_notes(footnotes([record(words)]), "html"))
        assert {*page.tags} == {"table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li"}
        assert words in page.data

    def test_latex_has_no_command_of_it(self, words):
        rest = text.latex(words)
        for known in (*(rf"\text{name} " for name in LATEX_NAMES), r"\space ", "{}-"):
            rest = rest.replace(known, "")
        assert re.sub(r"\\[&%$#_{}]", "", rest).translate(str.maketrans("", "", "\\&%$#_{}~^")) == re.sub(
            r"\\[&%$#_{}]", "", rest
        )


@pytest.mark.parametrize(
    "words", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1"]
)
def test_a_spreadsheet_takes_no_text_for_a_formula(words):
    (row,) = csv_files.DictReader(io.StringIO(render([record(words, test_loss=-1.5)], "csv")))
    assert [row[name][0] for name in ("task", "method", "reason")] == ["'"] * 3
    assert float(row["test_loss"]) == -1.5


def test_a_row_of_latex_does_not_begin_with_what_ends_the_last():
    assert re.search(r"^(\[|\*)", render([record("[1pt]"), record("*")], "latex"), flags=re.MULTILINE) is None


def test_the_marks_read_as_they_are_in_markdown():
    records = [
        Record(
            cell=Training(suite="s", task="t", method=method, backend="numpy", seed=seed, budget=Budget(steps=5)),
            status="ok", figures={"device": "cpu", "test_loss": value + 0.1 * seed},
        )
        for method, value in (("a", 1.0), ("b", 1.001), ("c", 9.0)) for seed in range(3)
    ]  # fmt: skip
    page = Seen(MARKDOWN.render(render(records, "markdown") + "\n\n" + written_notes(footnotes(records), "markdown")))
    assert {*page.tags} == {"p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert "*1.10 (1.00–1.20)" in page.data
    assert "\n* is the best of its task; ~ is not shown to differ" in page.data
    for form in LOOKS:
        best = "Bold" if form == "latex" else r"\*" if form == "markdown" else "*"
        assert f"{best} is the best of its task" in written_notes(footnotes(records, form), form)


@pytest.mark.parametrize("words", UNSEEN.values(), ids=UNSEEN)
def test_messages_of_the_command(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    write_record(folder, record(words.replace("\ud800", "").replace("\udfff", "")))
    (folder / "run.json").write_text(json.dumps({"cells": ["gone"]}))
    name = words.replace("\0", "").replace("/", "") + "no"
    for arguments in (("table", name), ("table", "run"), ("compare", "run", "run", "-f", name)):
        done = call(*arguments)
        assert not FORBIDDEN.findall(done.stderr + done.stdout)
        assert isinstance(done.exception, SystemExit) or done.exit_code == 0
