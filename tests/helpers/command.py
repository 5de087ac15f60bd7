"""The command line, in this process and in processes of its own; and snippets of code in fresh ones."""

import signal
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

from typer.testing import CliRunner

from rbench.cli import app

INTERRUPTIBLE = {"preexec_fn": partial(signal.signal, signal.SIGINT, signal.SIG_DFL), "start_new_session": True}
"""A shell that runs the tests in the background lets them ignore SIGINT, which a child would inherit."""


def call(*words):
    """The command in this process: `exit_code`, `stdout`, `stderr`, both as `output`, and `exception`."""
    return CliRunner().invoke(app, [str(word) for word in words])


def start(*words, module="rbench.cli", **options):
    """The command, or another module's, in a process of its own, which may be running still."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-P", "-m", module, *map(str, words)], **pipes | options)


def ended(process, timeout=300):
    """The status of a process and all that it printed, once it has ended."""
    out, err = process.communicate(timeout=timeout)
    return SimpleNamespace(code=process.returncode, out=out, err=err)


def run(*words, timeout=300, **options):
    """`start`, and `ended`."""
    return ended(start(*words, **options), timeout)


def python(code, *arguments, **options):
    """What a fresh interpreter prints that runs some code, which must not fail."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(code):
    """The top-level modules that a fresh interpreter has loaded after some code."""
    return set(python(f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})").split())
