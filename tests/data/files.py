"""Small IDX data sets written by the tests, and the real MNIST where it is there."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from neuromorph.data import AUSTEN, MNIST, Collection, Resource, locate
from neuromorph.data.resources import NpmPackage

REQUIRE = "NEUROMORPH_REQUIRE_DATA"


def idx(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes, by the format's definition."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


def payloads(rng: np.random.Generator, n_train: int = 24, n_test: int = 5, side: int = 4) -> dict[str, bytes]:
    """Four files named as MNIST's, with random images."""
    arrays = []
    for n in (n_train, n_test):
        arrays += [rng.integers(0, 256, (n, side, side), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)]
    return {file.name: idx(array) for file, array in zip(MNIST.files, arrays)}


def collection(files: dict[str, bytes], package: str = "nothing") -> Collection:
    """Resources with the right sizes and checksums of `files`."""
    resources = tuple(Resource(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items())
    return Collection("tiny", "MNIST/raw", NpmPackage(package, "package/data"), resources)


def write(folder: Path, files: dict[str, bytes], compress: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (name + ".gz" * compress)).write_bytes(gzip.compress(data) if compress else data)
    return folder


def need(collection: Collection) -> None:
    """Skip where a data set is absent, fail where it must be there; a damaged one fails in the test itself."""
    absent = [file.name for file in collection.files if locate(collection, file) is None]
    getting = f"`neuromorph data fetch {collection.name}`"
    if absent and os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {collection.name} lacks {absent}; run {getting}.")
    if absent:
        pytest.skip(f"{collection.name} is not here ({', '.join(absent)}); {getting} gets it.")


def need_mnist() -> None:
    need(MNIST)


def need_austen() -> None:
    need(AUSTEN)
