"""IDX, the format of MNIST's files: two zero bytes, a type byte, the number of dimensions, their sizes (big-endian), then the values."""

import math
import struct

import numpy as np

from neuromorph.errors import DataError
from neuromorph.shapes import UInt8

UNSIGNED_BYTE = 0x08


def parse(data: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """The array of an IDX file of unsigned bytes, as a read-only view of `data`; `name` is what messages call it.

    Raises:
        DataError: wrong magic number or type, no dimensions, or more or fewer values than the dimensions say.
    """
    if len(data) < 4 or data[:2] != b"\0\0":
        raise DataError(f"{name} starts with bytes {data[:4].hex(' ') or '(none)'}; an IDX file starts with 00 00, type, dimensions.")
    kind, n_dimensions = data[2], data[3]
    if kind != UNSIGNED_BYTE or n_dimensions == 0:
        raise DataError(
            f"{name} is IDX of type 0x{kind:02x} in {n_dimensions} dimensions; only unsigned bytes (0x08) in 1 or more are read."
        )
    start = 4 + 4 * n_dimensions
    if len(data) < start:
        raise DataError(f"{name} ends inside its header: {len(data)} bytes; {n_dimensions} dimensions need {start}.")
    shape = struct.unpack(f">{n_dimensions}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise DataError(f"{name} has {len(data) - start} values; its header says {' x '.join(map(str, shape))} = {math.prod(shape)}.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
