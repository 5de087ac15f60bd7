"""Records that are truncated or altered are found, set aside and made again."""

import json
import random
import subprocess
import sys
import time

import pytest

from helpers import faults
from helpers.faults import SPIRALS, Shown, cell, made, path_of
from rbench.run import Budget, Request, read_records
from rbench.run import run as run_request
from rbench.run.record import read_record, write_record
from rbench.run.resume import find_records


class TestDamage:
    def test_every_truncation_and_flipped_bit_is_found_or_changes_nothing(self, tmp_path):
        record = made()
        write_record(tmp_path, record)
        path, draws = path_of(tmp_path, record), random.Random(0)
        whole = path.read_bytes()
        for length in {0, 1, len(whole) - 2, *(draws.randrange(len(whole) - 1) for _ in range(50))}:
            path.write_bytes(whole[:length])
            assert read_records(tmp_path) == ([], [path])
        found = 0
        for place in range(len(whole)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << draws.randrange(8)
            path.write_bytes(flipped)
            records, damaged = read_records(tmp_path)
            assert (records, damaged) in (([], [path]), ([record], []))
            found += bool(damaged)
        assert found > 0.9 * len(whole)

    @pytest.mark.parametrize("content", ["[]", "null", "{}", '{"sha256": "0"}', "\x00" * 99])
    def test_what_is_no_record_is_damaged(self, tmp_path, content):
        write_record(tmp_path, made())
        path_of(tmp_path, made()).write_text(content)
        assert read_record(tmp_path, cell()) is None
        assert read_records(tmp_path)[1] == [path_of(tmp_path, made())]

    def test_it_is_set_aside_with_a_warning_and_its_cell_is_run_again(self, tmp_path):
        request = Request(tasks=(SPIRALS,), methods=("sgd", "adam"), budget=Budget(steps=3), threads=1)
        first = run_request(request, tmp_path, Shown())
        path = path_of(tmp_path, first.records[0])
        content = json.loads(path.read_text())
        content["figures"]["train_loss"] /= 2
        path.write_text(json.dumps(content))
        half = path.with_name(f".{path.name}.1")
        half.touch()
        shown = Shown()
        again = run_request(request, tmp_path, shown)
        assert (shown.todo, shown.kept) == (1, 1)
        (warning,) = shown.warnings
        assert warning.startswith(f"{path} is damaged: it is now {path.name}.damaged")
        assert json.loads(path.with_name(f"{path.name}.damaged").read_text()) == content
        assert not half.exists()
        assert [faults.course(record) for record in again.records] == [
            faults.course(record) for record in first.records
        ]
        assert again.records[1] == first.records[1]

    def test_a_writer_that_is_killed_leaves_whole_records(self, tmp_path):
        script = (
            "import sys\nfrom pathlib import Path\nfrom rbench.run import Record\n"
            "from rbench.run.record import write_record\n"
            "record = Record.model_validate_json(sys.stdin.readline())\nprint(flush=True)\nstep = 0\n"
            "while step := step + 1:\n"
            "    for seed in range(5):\n"
            "        one = record.cell.model_copy(update={'seed': seed})\n"
            "        changes = {'cell': one, 'history': [{'step': step}] * 99}\n"
            "        write_record(Path(sys.argv[1]), record.model_copy(update=changes))\n"
        )
        draws = random.Random(1)
        for _ in range(6):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            process = subprocess.Popen([sys.executable, "-c", script, tmp_path], **pipes)
            process.stdin.write(made().model_dump_json() + "\n")
            process.stdin.flush()
            process.stdout.readline()
            time.sleep(draws.uniform(0.05, 0.3))
            process.kill()
            process.communicate()
            records, damaged = read_records(tmp_path)
            assert damaged == []
            assert all(len(record.history) == 99 for record in records)
        assert len(records) == 5
        find_records(tmp_path, pytest.fail)
        assert len(list((tmp_path / "cells").iterdir())) == 5
