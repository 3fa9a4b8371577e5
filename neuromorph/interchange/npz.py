"""Recordings as .npz files, which `numpy.load` reads without pickle, and back without loss.

The tree of the HDF5 file (docs/format.md) with "/" between names, attributes as arrays without dimensions:

    format, version                            "neuromorph.recording", 1
    backend, precision, graph_digest           strings
    dt [s], n_samples, n_steps                 numbers
    spikes/<population>/sample, step, neuron   int32, one an event
    spikes/<population>/n_neurons              a number; n_samples, n_steps, dt again
    readouts/<population>                      [n_steps, n_samples, n]
    states/<population>/<variable>             [n_steps, n_samples, n]
    saturations/<population>.<variable>        a number
"""

import io
import math
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib import format as npy

from neuromorph.errors import FormatError
from neuromorph.files import atomic_write
from neuromorph.graph.container import MAX_BYTES, Group
from neuromorph.recording import VERSION, Recording, from_group, to_group

FORMAT = "neuromorph.recording"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def save_npz(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write a recording, atomically, deflated; `path` is taken as it is, without ".npz" added."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, format=FORMAT, version=VERSION, **dict(_entries(to_group(recording))))
    atomic_write(path, buffer.getvalue())


def load_npz(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Recording:
    """Read a recording. `max_bytes`: the most that the file may hold, unpacked.

    Raises:
        FormatError: it is no .npz file, damaged, larger than allowed, of another format or a newer version, or holds no recording (see
            `neuromorph.recording.from_group`).
    """
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(member.file_size for member in file.infolist())
            if size > max_bytes:
                raise FormatError(f"{path}: it holds {size} bytes; at most {max_bytes} (max_bytes).")
            arrays = {each.filename.removesuffix(".npy"): _array(file, each, f"{path}: {each.filename}") for each in file.infolist()}
    except (FormatError, OSError):
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many types on damaged files
        raise FormatError(f"{path}: it cannot be read as .npz ({type(error).__name__}: {error}).") from error
    found, version = (arrays.pop(name, np.array(None)).item() if name in arrays else None for name in ("format", "version"))
    if found != FORMAT or version != VERSION:
        raise FormatError(f"{path}: format {found!r}, version {version!r}; wanted {FORMAT!r}, version {VERSION} (Recording.to_npz).")
    return from_group(_tree(arrays, path), path)


def _entries(tree: Group, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in (*tree.attributes.items(), *tree.arrays.items()):
        yield f"{prefix}{name}", value
    for name, group in tree.groups.items():
        yield from _entries(group, f"{prefix}{name}/")


def _array(file: zipfile.ZipFile, member: zipfile.ZipInfo, place: str) -> np.ndarray:
    """An array whose stored bytes are exactly those that its shape claims, before anything is allocated for it."""
    with file.open(member) as stream:
        shape, fortran, dtype = HEADERS[npy.read_magic(stream)](stream)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "iufUb" or size != member.file_size - stream.tell():
            raise FormatError(f"{place} claims {size} bytes of {dtype} in {member.file_size} bytes; allowed: numbers and strings.")
        return np.ndarray(shape, dtype, bytearray(stream.read(size)), order="F" if fortran else "C")


def _tree(arrays: dict[str, np.ndarray], path: str | os.PathLike[str]) -> Group:
    root = Group(groups={name: Group() for name in ("spikes", "readouts", "states", "saturations")})
    for place, values in arrays.items():
        *above, name = place.split("/")
        group = root
        for part in above:
            group = group.groups.setdefault(part, Group())
        if name in (*group.groups, *group.attributes, *group.arrays):
            raise FormatError(f"{path}: {place} is there twice.")
        if values.ndim:
            group.arrays[name] = values
        else:
            group.attributes[name] = values.item()
    return root
