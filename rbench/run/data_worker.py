"""The process that finds data.

`python -m rbench.run.data_worker` reads a list of `Wanted` as JSON from standard input, and writes a `Found` for each
in turn, as a line of JSON to standard output. It stops at the first that cannot be used.
"""

import os
import signal
import sys

from rbench.errors import RbenchError
from rbench.run.child_process import answer_channel
from rbench.run.data import WANTED, Found, Wanted
from rbench.tasks.dataset import checksum
from rbench.train.cell import configured


def found(one: Wanted) -> Found:
    """Make or fetch data in this process, and check them."""
    try:
        (task,) = configured("tasks", one.task)
        data = task.dataset(one.unofficial_data, one.dtype)
        return Found(sha256=data.sha256, checksum=checksum(data), n_train=len(data.x_train))
    except RbenchError as error:
        return Found(refused=(type(error).__name__, str(error)))
    except MemoryError as error:
        return Found(status="out_of_memory", reason=f"loading its data: {error or 'memory ran out'}")
    except Exception as error:  # a plugin's
        return Found(status="crashed", reason=f"{type(error).__name__}: {error}")


def main() -> None:
    """Find the data on standard input."""
    answer = answer_channel()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped download removes its partial file
    try:
        for one in WANTED.validate_json(sys.stdin.read()):
            result = found(one)
            os.write(answer, result.model_dump_json().encode() + b"\n")
            if result.refused:
                return
    except KeyboardInterrupt:
        sys.exit(1)


if __name__ == "__main__":
    main()
