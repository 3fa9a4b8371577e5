"""`docs/format.md` followed to the letter, with plain h5py."""

import hashlib
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from neuromorph.graph import container, save
from neuromorph.graph.container import Group
from tests.strategies import random_graph


def digest_by_the_book(root: h5py.Group) -> str:
    """`docs/format.md`, "The digest", in plain h5py."""
    text = root.attrs["format"].decode() + " " + str(root.attrs["version"]) + "\n"
    sha = hashlib.sha256(text.encode())

    def walk(group: h5py.Group, place: str) -> None:
        for name in sorted(group.attrs):
            value = group.attrs[name]
            if isinstance(value, bytes):
                kind, data = "str", bytes(value)
            else:
                kind, data = (
                    {"b": "bool", "i": "int", "f": "float"}[value.dtype.kind],
                    value.astype("<f8" if value.dtype.kind == "f" else "<i8").tobytes(),
                )
            sha.update(f"{place}@{name} {kind} {len(data)}\n".encode() + data)
        for name in sorted(n for n in group if isinstance(group[n], h5py.Dataset)):
            data = group[name][...]
            shape = "x".join(str(size) for size in data.shape)
            sha.update(f"{place}/{name} {data.dtype.kind}{data.dtype.itemsize} {shape}\n".encode() + data.tobytes())
        for name in sorted(n for n in group if isinstance(group[n], h5py.Group)):
            sha.update(f"{place}/{name}/\n".encode())
            walk(group[name], f"{place}/{name}")

    walk(root["content"], "")
    return sha.hexdigest()


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_a_reader_that_knows_only_the_document(tmp_path: Path, precision: str):
    graph = random_graph(np.random.default_rng(11), precision=precision)
    save(tmp_path / "g.h5", graph)
    with h5py.File(tmp_path / "g.h5") as file:
        root = file["neuromorph"]
        assert root.attrs["format"] == b"neuromorph.graph"
        assert root.attrs["version"] == 1
        assert root.attrs["sha256"].decode() == digest_by_the_book(root)
        content = root["content"]
        assert content.attrs["dt"] == graph.dt
        assert content.attrs["precision"].decode() == precision
        assert content["metadata"].attrs["made_by"] == b"tests"
        for population in graph.populations:
            node = content[f"populations/{population.name}"]
            assert node.attrs["type"].decode() == type(population).__name__
            assert graph.populations[node.attrs["index"]] is population
            for name in node:
                np.testing.assert_array_equal(node[name][...], getattr(population, name))
        for projection in graph.projections:
            node = content[f"projections/{projection.name}"]
            dense = np.zeros((graph.population(node.attrs["source"].decode()).n, graph.population(node.attrs["target"].decode()).n))
            for row in range(len(dense)):
                for k in range(node["indptr"][row], node["indptr"][row + 1]):
                    dense[row, node["indices"][k]] = node["weights"][k]
            np.testing.assert_array_equal(dense, projection.to_dense(dense.shape[1]))
            assert node.attrs["weight_exp"] == projection.weight_exp


def test_the_worked_example_of_the_document(tmp_path: Path):
    """The bytes and the digest that `docs/format.md` prints, recomputed and found in it."""
    tree = Group({"dt": 0.001}, {"a": np.array([1, -2], "<i2")}, {"g": Group({"name": "é"})})
    canonical = (
        b"neuromorph.example 1\n"
        b"@dt float 8\n"
        + bytes.fromhex("fca9f1d24d62503f")
        + b"/a i2 2\n"
        + bytes.fromhex("0100feff")
        + b"/g/\n/g@name str 2\n"
        + bytes.fromhex("c3a9")
    )
    wanted = hashlib.sha256(canonical).hexdigest()
    assert container.digest("example", 1, tree) == wanted
    document = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    assert wanted in document
    assert canonical.hex() == "".join(re.findall(r"^((?:[0-9a-f]{2})+)(?:$|  )", document, re.MULTILINE))
    container.write(tmp_path / "e.h5", "example", 1, tree)
    with h5py.File(tmp_path / "e.h5") as file:
        assert digest_by_the_book(file["neuromorph"]) == wanted
