"""MNIST: 60,000 training and 10,000 test images of handwritten digits (LeCun, Bottou, Bengio, Haffner 1998)."""

import os
from dataclasses import dataclass

import numpy as np

from neuromorph.data.idx import parse
from neuromorph.data.resources import MNIST, Collection, read
from neuromorph.errors import DataError
from neuromorph.graph.populations import Values, read_only
from neuromorph.shapes import Int64, UInt8

N_CLASSES = 10


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled grey images: `pixels` uint8 [samples, pixels], row by row, 0 (background) to 255; `labels` [samples].

    Raises:
        DataError: not one row of pixels a label.
    """

    pixels: UInt8[np.ndarray, "_ pixels"]
    labels: Int64[np.ndarray, " samples"]

    def __post_init__(self) -> None:
        for field in ("pixels", "labels"):
            object.__setattr__(self, field, read_only(getattr(self, field)))
        if self.pixels.ndim != 2 or len(self.pixels) != len(self.labels):
            raise DataError(f"Images: pixels of shape {self.pixels.shape} for {len(self.labels)} labels; give [samples, pixels].")

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, chosen: Values) -> "Images":
        """The chosen samples, in that order."""
        rows = np.asarray(chosen, dtype=np.int64).reshape(-1)
        return Images(self.pixels[rows], self.labels[rows])

    def head(self, n: int) -> "Images":
        """The first n samples."""
        return Images(self.pixels[:n], self.labels[:n])


def load_mnist(root: str | os.PathLike[str] | None = None, collection: Collection = MNIST) -> tuple[Images, Images]:
    """Training and test images in the order of the files. `root`: folder searched first, see `resources.folders`.

    Raises:
        DataError: a file is missing or damaged, or images and labels do not fit each other.
    """
    arrays = [parse(read(collection, resource, root), resource.name) for resource in collection.files]
    return _images(*arrays[:2], name="training"), _images(*arrays[2:], name="test")


def _images(pixels: UInt8[np.ndarray, "..."], labels: UInt8[np.ndarray, "..."], name: str) -> Images:
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1] or (len(labels) and labels.max() >= N_CLASSES):
        raise DataError(
            f"MNIST: the {name} files have images of shape {pixels.shape} and labels of shape {labels.shape}; "
            f"wanted [samples, rows, columns] and one label 0..{N_CLASSES - 1} a sample."
        )
    return Images(pixels.reshape(len(pixels), -1), labels.astype(np.int64))
