"""Runs that are killed, meet a full disk, or meet each other: no cell is lost."""

import errno
import os
import signal
import socket
import subprocess

import pytest

from helpers import faults
from helpers.faults import SPIRALS, Shown, by_method, first_number, words
from rbench.run import Budget, Request, read_records
from rbench.run import run as run_request
from rbench.run.lock import locked
from rbench.run.record import write_record


class TestFullDisk:
    def test_a_record_that_cannot_be_stored_is_a_row_and_the_run_goes_on(self, tmp_path, monkeypatch):
        def full_for_adam(directory, record):
            if record.cell.method.startswith("adam"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write_record(directory, record)

        request = Request(tasks=(SPIRALS,), methods=("sgd", "adam"), budget=Budget(steps=3), threads=1)
        with monkeypatch.context() as patched:
            patched.setattr("rbench.run.resume.write_record", full_for_adam)
            done = run_request(request, tmp_path, Shown())
        assert [record.status for record in done.records] == ["ok", "crashed"]
        assert done.records[1].reason == "its record could not be stored: No space left on device"
        assert list(by_method(tmp_path)) == ["sgd"]
        shown = Shown()
        assert run_request(request, tmp_path, shown).ok
        assert (shown.todo, shown.kept) == (1, 1)

    def test_a_run_onto_a_disk_that_fills_goes_on_when_there_is_room(self, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "none", disk], check=False).returncode:
            pytest.skip("no file system can be mounted here")
        try:
            asked = words(disk, "sgd", "adam", "kfac", seeds=2)
            code, errors = faults.finish(*asked)
            assert (code, "Traceback" in errors) == (1, False), errors
            assert "could not be stored: No space left on device" in errors
            kept, damaged = read_records(disk)
            assert 0 < len(kept) < 6
            assert damaged == []
            subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
            code, errors = faults.finish(*asked)
            assert code == 0, errors
            assert f"cells from an earlier run: {len(kept)}; to run: {6 - len(kept)}" in errors
            assert len(read_records(disk)[0]) == 6
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


class TestLock:
    def test_a_second_run_into_a_directory_is_refused_and_names_the_first(self, plugin, tmp_path):
        faults.forget(plugin.folder)
        asked = words(tmp_path, "fault-waits")
        process = faults.start(*asked, env=plugin.env)
        first_number(plugin.folder, process)
        told = f"{tmp_path} is in use by process {process.pid} on {socket.gethostname()}; wait until that ends, or"
        tune = ("tune", "-t", SPIRALS, "-m", "sgd", "--trials", "2", "-o", tmp_path)
        for second in (asked, (*asked, "--force"), tune, ("run", "memory", "-o", tmp_path)):
            code, errors = faults.finish(*second, env=plugin.env)
            assert code == 2
            assert told in errors or "measures costs" in errors or "holds a run that" in errors, errors
            assert "Traceback" not in errors
        process.kill()
        process.communicate(timeout=60)
        (plugin.folder / "go").touch()
        try:
            assert faults.finish(*asked, env=plugin.env)[0] == 0
        finally:
            (plugin.folder / "go").unlink()

    def test_the_lock_goes_with_its_holder(self, tmp_path):
        with locked(tmp_path / "new"):
            with pytest.raises(Exception, match=f"in use by process {os.getpid()} on "), locked(tmp_path / "new"):
                pass
        with locked(tmp_path / "new"):
            pass

    def test_a_file_system_without_locks_is_refused(self, tmp_path, monkeypatch):
        def no_locks(file, how):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr("rbench.run.lock.fcntl.flock", no_locks)
        with pytest.raises(Exception, match=r"cannot be locked: No locks available; name a directory on a local disk"):
            with locked(tmp_path):
                pass


class TestNothingLost:
    def test_a_forced_run_that_is_killed_leaves_the_old_record(self, plugin, tmp_path):
        faults.forget(plugin.folder)
        asked, go = words(tmp_path, "fault-waits"), plugin.folder / "go"
        go.touch()
        assert faults.finish(*asked, env=plugin.env)[0] == 0
        before = by_method(tmp_path)
        go.unlink()
        faults.forget(plugin.folder)
        process = faults.start(*asked, "--force", env=plugin.env)
        first_number(plugin.folder, process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert by_method(tmp_path) == before

    def test_whatever_is_killed_or_damaged_every_cell_ends_with_one_record_and_its_figures(self, tmp_path):
        asked = (*faults.SMALL, "--no-memory")
        code, errors = faults.finish("run", *asked, "-j", "2", "-o", tmp_path / "undisturbed")
        assert code == 0, errors
        undisturbed, _ = read_records(tmp_path / "undisturbed")
        hand, both = faults.Hand(seed=3, words=asked), {"parent killed", "worker killed"}
        while (left := 8 - hand.tally.injected.total()) > 0 or not both <= hand.tally.injected.keys():
            hand.round(tmp_path / f"after-{hand.tally.cells}", undisturbed, max(left, 1))
        assert hand.tally.harm == dict.fromkeys(hand.tally.harm, 0)
