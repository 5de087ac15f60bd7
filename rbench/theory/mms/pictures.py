"""The decoded samples of latent diffusion as a picture, a row of images for each method."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write_pictures(path: Path, rows: Mapping[str, Sequence[Any]]) -> None:
    """Write rows of images (k, side, side) from 0 to 255, by title, as a PNG; nothing where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(12, 0.8 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, images) in zip(axes, rows.items(), strict=True):
        part.imshow(np.concatenate(images, axis=1), cmap="gray_r", vmin=0, vmax=255)
        part.set(xticks=[], yticks=[])
        part.set_title(title, fontsize=7, loc="left", pad=2)
    figure.savefig(path, dpi=120)


def file_name(*words: str) -> str:
    """A name made of words that a file may have."""
    return "-".join(re.findall(r"[A-Za-z0-9.]+", " ".join(words))) + ".png"
