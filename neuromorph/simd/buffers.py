"""Working memory that is used again: fresh pages cost more than the arithmetic on them."""

import math
import threading
import weakref
from collections import defaultdict
from typing import Any

import numpy as np

from neuromorph.simd.lanes import ALIGNMENT

_idle: defaultdict[int, list[np.ndarray]] = defaultdict(list)
_lock = threading.Lock()


def scratch(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array at a multiple of 64 bytes, with any content; its memory goes to the next one of its size when it is no longer used."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    with _lock:
        block = _idle[size].pop() if _idle[size] else np.empty(size + ALIGNMENT, np.uint8)
    raw = np.frombuffer(memoryview(block), np.uint8)
    weakref.finalize(raw, _give_back, size, block).atexit = False
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The same, of zeros."""
    array = scratch(shape, dtype)
    array.fill(0)
    return array


def _give_back(size: int, block: np.ndarray) -> None:
    with _lock:
        _idle[size].append(block)
