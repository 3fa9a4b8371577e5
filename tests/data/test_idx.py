"""IDX: what is written comes back, and every damage is told."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neuromorph.data.idx import parse
from neuromorph.errors import DataError
from tests.data.files import idx

ANY = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))


@given(ANY)
def test_round_trip(array):
    found = parse(idx(array), "f")
    assert found.shape == array.shape
    assert np.array_equal(found, array)
    assert not found.flags.writeable


def test_bytes_by_hand():
    data = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])
    assert parse(data, "f").tolist() == [[1, 2, 3], [4, 5, 255]]


@given(ANY, st.integers(0, 1000))
def test_truncated_anywhere(array, cut):
    data = idx(array)
    with pytest.raises(DataError, match=r"^f "):
        parse(data[: cut % len(data)], "f")


@given(ANY, st.binary(min_size=1, max_size=3))
def test_bytes_left_over(array, more):
    with pytest.raises(DataError, match="its header says"):
        parse(idx(array) + more, "f")


@given(ANY, st.integers(0, 3), st.integers(1, 255))
def test_wrong_magic(array, place, flip):
    data = bytearray(idx(array))
    data[place] ^= flip
    with pytest.raises(DataError, match=r"starts with|of type|its header|header says"):
        parse(bytes(data), "f")


@given(st.binary(max_size=40))
def test_any_bytes_give_an_array_or_a_data_error(data):
    with suppress(DataError):
        assert parse(data, "f").size == len(data) - 4 - 4 * data[3]


def test_a_huge_shape_allocates_nothing():
    with pytest.raises(DataError, match="4294967295 x 4294967295"):
        parse(bytes([0, 0, 8, 2]) + b"\xff" * 8, "f")
