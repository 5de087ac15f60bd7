"""A terminal that is closed, or a job that is ended: the run stops, says how to go on, and leaves no process behind."""

import ctypes
import os
import pty
import select
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from helpers import command
from helpers.faults import SPIRALS, forget
from helpers.plugin_folder import install_faults
from rbench.run.lock import locked

COMMANDS = {
    "run": ("run", "faults", "-t", SPIRALS, "-m", "fault-waits", "--steps", "3"),
    "tune": ("tune", "quick", "-t", SPIRALS, "-m", "fault-waits", "--steps", "3", "--trials", "2"),
    "cost": ("run", "memory", "-t", "4-3", "-m", "fault-waits"),
}


@pytest.fixture
def start(tmp_path):
    """Start a command whose worker waits; the process, once the worker does, and the worker's number."""
    environment, processes = install_faults(tmp_path), []

    def run(words, disposition=signal.SIG_DFL, **pipes):
        forget(tmp_path)
        heed = partial(signal.signal, signal.SIGHUP, disposition)
        process = command.start(*words, env=environment, start_new_session=True, preexec_fn=heed, **pipes)
        processes.append(process)
        deadline = time.monotonic() + 90
        while not (numbers := list(tmp_path.glob("pid-*"))) and process.poll() is None:
            assert time.monotonic() < deadline, "the worker does not begin"
            time.sleep(0.02)
        assert numbers, process.communicate()
        return process, int(numbers[0].name[4:])

    yield run
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def has_ended(pid):
    """Whether a process is gone, or waits to be."""
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "zombie" in status.read_text()


@pytest.mark.parametrize(
    ("name", "sent"),
    [("run", "SIGHUP"), ("run", "SIGTERM"), ("run", "SIGHUP SIGHUP SIGTERM"), ("tune", "SIGTERM"), ("cost", "SIGHUP")],
)
def test_a_signal_ends_it_with_a_message_and_all_its_processes(start, tmp_path, name, sent):
    folder = tmp_path / "run"
    process, worker = start([*COMMANDS[name], "-o", folder])
    for one in sent.split():
        os.kill(process.pid, signal.Signals[one])
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert f"stopped; the same command with -o {folder}" in err
    assert "Traceback" not in err
    assert has_ended(worker)
    with locked(folder):  # nothing holds the directory
        pass


def test_a_signal_that_another_thread_takes_ends_it_too(start, tmp_path):
    process, worker = start([*COMMANDS["run"], "-o", tmp_path / "run"])
    others = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir() if path.name != str(process.pid)]
    assert others
    assert ctypes.CDLL(None).tgkill(process.pid, others[-1], signal.SIGTERM) == 0
    assert process.wait(timeout=30) == 130
    assert has_ended(worker)


def test_a_run_that_was_started_with_nohup_goes_on(start, tmp_path):
    process, worker = start([*COMMANDS["run"], "-o", tmp_path / "run"], signal.SIG_IGN)
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    assert not has_ended(worker)


def test_a_terminal_that_is_closed_ends_it_though_there_is_nobody_to_tell(start, tmp_path):
    ours, theirs = pty.openpty()
    closing = threading.Event()

    def show():
        while not closing.is_set():
            if select.select([ours], [], [], 0.1)[0]:
                os.read(ours, 2**16)

    terminal = threading.Thread(target=show)
    terminal.start()
    try:
        pipes = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        process, worker = start([*COMMANDS["run"], "-o", tmp_path / "run"], **pipes)
    finally:
        closing.set()
        terminal.join()
        os.close(theirs)
        os.close(ours)
    os.kill(process.pid, signal.SIGHUP)  # as the kernel does for the terminal's own session
    assert process.wait(timeout=30) == 130
    assert has_ended(worker)
