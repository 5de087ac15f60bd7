"""Data and libraries within an HTML file: nothing in them can end an element or begin another."""

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.util import find_spec
from typing import Any

from rbench.errors import RbenchError
from rbench.run.record import plain

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})

LIBRARIES = "plotly", "itables"


def check_libraries() -> None:
    """Raise unless the libraries that draw plots and tables are installed.

    Raises:
        RbenchError: one is not; the message says how to install it.
    """
    for name in LIBRARIES:
        if find_spec(name) is None:
            raise RbenchError(f"a page is made with {name}, which is not installed; pip install 'rbench[report]'")


def compact_json(value: Any) -> str:
    """Plain data as JSON on one line, in ASCII; numbers that are not finite are null."""
    return json.dumps(plain(value), separators=(",", ":"), allow_nan=False).replace("\x7f", "\\u007f")


def script_json(value: Any) -> str:
    """Plain data as JSON for a `<script type="application/json">`: ASCII without `<`, `>` and `&`; NaN is null."""
    return compact_json(value).translate(_ESCAPES)


def packed_json(value: Any) -> str:
    """Plain data as `compact_json`, packed as `packed` does."""
    return packed(compact_json(value))


def packed(text: str) -> str:
    """Text as base64 of gzip, which `unpack` of the page's script reads: a third of the size."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


@cache
def plotly_script() -> str:
    """The code of plotly.js, packed."""
    from plotly.offline import get_plotlyjs

    return packed(get_plotlyjs())


@cache
def table_script() -> str:
    """The code of DataTables with its extensions, as itables bundles them, packed."""
    return packed(_bundled("dt_bundle.js"))


def table_style() -> str:
    """The style sheet of DataTables."""
    return _bundled("dt_bundle.css").replace("</", "<\\/")


def policy(script: str) -> str:
    """A Content-Security-Policy under which no request leaves the page, and only one inline script runs.

    The libraries are scripts that it makes of the page's own data.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' blob:; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )


def _bundled(name: str) -> str:
    from itables.utils import read_package_file

    return str(read_package_file("html", name))
