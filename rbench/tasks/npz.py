"""`npz`: a user's own arrays, in a file that `numpy.savez` wrote."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from rbench.errors import DataError, RbenchError
from rbench.losses import get_loss
from rbench.names import did_you_mean
from rbench.tasks.base import Target
from rbench.tasks.dataset import Dataset, fingerprint, held_out
from rbench.tasks.images import NamedNetwork

PARTS = ("x_train", "y_train", "x_test", "y_test")
WHOLE = ("x", "y")


class Npz(NamedNetwork):
    """Learn the arrays of a file: `x_train`, `y_train`, `x_test` and `y_test`, or `x` and `y`.

    Of `x` and `y` a sixth, drawn once and for all, is the test set. x is (n, *shape), as the network is to see it:
    nothing is scaled. Targets are labels (n,), integers from 0, or real numbers (n, d) or (n,), as the loss has it.

    Attributes:
        path: of the file.
        loss_name: name of the loss; its key in a SPEC is `loss`.
        goal: what `seconds_to_target` counts to: a test accuracy to reach where targets are labels, else a test squared
            error to fall to; its key in a SPEC is `target`.
    """

    name = "npz"
    summary = "your own arrays, from a file that numpy.savez wrote"
    published = False
    epochs = 20
    always = ("path",)
    path: str
    loss_name: str = Field("cross_entropy", alias="loss")
    goal: float | None = Field(None, alias="target")

    @property
    def loss(self) -> str:  # type: ignore[override]  # a constant of other tasks
        return self.loss_name

    @property
    def target(self) -> Target | None:  # type: ignore[override]
        if self.goal is None:
            return None
        return Target("test_accuracy" if get_loss(self.loss).integer_targets else "test_squared_error", self.goal)

    def sizes(self) -> tuple[tuple[int, ...], int]:
        with _opened(self.path) as file:
            names = _names(self.path, file)
            shape = _shape(file, names[0])
            if get_loss(self.loss).integer_targets:
                return shape[1:], 1 + max(_largest(self.path, name, file[name]) for name in names[1::2])
            return shape[1:], (*_shape(file, names[1]), 1)[1]

    def data_bytes(self) -> int:
        with _opened(self.path) as file:
            return sum(file.zip.getinfo(f"{name}.npy").file_size for name in _names(self.path, file))

    def load(self, allow_unofficial: bool) -> Dataset:
        with _opened(self.path) as file:
            arrays = {name: file[name] for name in _names(self.path, file)}
        sha256 = fingerprint(*arrays.values())
        if not get_loss(self.loss).integer_targets:
            arrays |= {name: y[:, None] for name, y in arrays.items() if name[0] == "y" and y.ndim == 1}
        if "x" in arrays:
            x, y = arrays.values()
            if len(x) != len(y):
                raise DataError(f"{self.spec}: x holds {len(x)} data, and y holds {len(y)} targets; give one for each")
            return held_out(Dataset(x, y, x, y, sha256), self.spec)
        return Dataset(**arrays, sha256=sha256)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The file, as `numpy.load` opens it; what goes wrong within is a `DataError`."""
    try:
        with zipfile.ZipFile(path):  # numpy.load takes other files too, with errors of their own
            pass
        with np.load(path, allow_pickle=False) as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"there is no file {path!r} in {Path.cwd()}; give its path, path=FILE.npz") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, RbenchError):
            raise
        raise DataError(
            f"{path!r} cannot be read: {error}; write it with numpy.savez(FILE, x_train=…, y_train=…, x_test=…, "
            "y_test=…), from arrays of numbers"
        ) from None


def _names(path: str, file: Any) -> tuple[str, ...]:
    """The names of the arrays to read: inputs and targets of the training and of the test set, or of both in one."""
    for names in (PARTS, WHOLE):
        if set(names) <= set(file.files):
            return names
    lacking = [name for name in PARTS if name not in file.files]
    raise DataError(
        f"{path!r} holds {', '.join(file.files) or 'no array'}; it lacks {', '.join(lacking)}"
        f"{did_you_mean(lacking[0], file.files)}, or x and y, of which a sixth is then the test set"
    )


def _shape(file: Any, name: str) -> tuple[int, ...]:
    """The shape of an array, from its header alone."""
    with file.zip.open(f"{name}.npy") as content:
        version = np.lib.format.read_magic(content)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return tuple(read(content)[0])


def _largest(path: str, name: str, labels: np.ndarray[Any, Any]) -> int:
    if labels.dtype.kind not in "iu":
        raise DataError(
            f"{name} of {path!r} holds {labels.dtype}, and labels are integers from 0; "
            "write them as such, or set loss=squared_error for targets that are real numbers"
        )
    return int(labels.max(initial=0))
