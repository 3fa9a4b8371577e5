"""Files damaged by accident: each is refused or reads equal; never anything else."""

from pathlib import Path

import numpy as np
import pytest

from neuromorph.errors import FormatError
from neuromorph.graph import LI, Graph, Input, Projection, load, save
from tests.strategies import random_graph


def outcome(path: Path, graph: Graph) -> str:
    """Either "equal" or "refused"; any other ending of `load` fails the test."""
    try:
        loaded = load(path)
    except FormatError:
        return "refused"
    assert loaded == graph
    return "equal"


@pytest.mark.parametrize(("seed", "flips"), [(None, 220), (0, 40), (2, 40)])
def test_single_bit_flips(tmp_path: Path, seed: int | None, flips: int):
    """In a small file, where most bits matter, and in larger ones."""
    rng = np.random.default_rng(seed or 0)
    small = Graph(1e-3, (Input("in", 1), LI.of("out", 2, decay_v=0.5)), (Projection.from_dense("in", "out", [[0.5, -1]]),), {"by": "me"})
    path, graph = tmp_path / "g.h5", small if seed is None else random_graph(rng, max_neurons=3)
    save(path, graph)
    sound = path.read_bytes()
    found = set()
    for bit in rng.choice(len(sound) * 8, flips, replace=False):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        found.add(outcome(path, graph))
    assert "refused" in found


def test_truncation(tmp_path: Path):
    path, graph = tmp_path / "g.h5", random_graph(np.random.default_rng(5))
    save(path, graph)
    sound = path.read_bytes()
    for size in [0, 1, 7, 8, 100, *range(500, len(sound), len(sound) // 60), len(sound) - 1]:
        path.write_bytes(sound[:size])
        assert outcome(path, graph) == "refused"


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(100), bytes(10_000)])
def test_files_of_another_kind(tmp_path: Path, content: bytes):
    (tmp_path / "g.h5").write_bytes(content)
    with pytest.raises(FormatError, match=r"g\.h5"):
        load(tmp_path / "g.h5")


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path)
