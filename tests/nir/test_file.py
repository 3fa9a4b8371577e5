"""Files that are broken, crafted or strange: read without being trusted, refused with the place and the reason."""

from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from neuromorph.errors import FormatError
from neuromorph.nir import Node, Stepping, load_nir, read
from tests.nir import files


def test_everything_that_the_library_writes_is_read(tmp_path: Path) -> None:
    for name in files.NETWORKS:
        path = files.written(name, tmp_path)
        found, wanted = read(path), nir.read(path, type_check=False)
        assert set(found.nodes) == set(wanted.nodes)
        assert sorted(found.edges) == sorted((str(a), str(b)) for a, b in wanted.edges)
        for node_name, node in found.nodes.items():
            if isinstance(node, Node) and node.kind == "LIF":
                assert np.array_equal(node.fields["tau"], wanted.nodes[node_name].tau)
        assert found.version == nir.version


def soft_link(file: h5py.File) -> None:
    del file["node/nodes/l/weight"]
    file["node/nodes/l/weight"] = h5py.SoftLink("/node/nodes/w/weight")


def outside_link(file: h5py.File) -> None:
    del file["node/nodes/l/weight"]
    file["node/nodes/l/weight"] = h5py.ExternalLink("other.h5", "/x")


def outside_storage(file: h5py.File) -> None:
    shape = file["node/nodes/l/weight"].shape
    secret = Path(file.filename).with_suffix(".secret")
    secret.write_bytes(b"s" * 8 * int(np.prod(shape)))
    del file["node/nodes/l/weight"]
    file["node/nodes/l"].create_dataset("weight", shape, "<f8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def cycle(file: h5py.File) -> None:
    file["node/nodes/l/nodes"] = file["node"]
    del file["node/nodes/l/type"]
    file["node/nodes/l/type"] = "NIRGraph"
    file["node/nodes/l/edges"] = np.array([["l", "l"]], dtype=h5py.string_dtype())


def alias(file: h5py.File) -> None:
    del file["node/nodes/w/weight"]
    file["node/nodes/w/weight"] = file["node/nodes/l/weight"]


def huge(file: h5py.File) -> None:
    del file["node/nodes/l/weight"]
    file["node/nodes/l"].create_dataset("weight", (10**6, 10**6), "<f8", chunks=(100, 100))


def not_a_number(file: h5py.File) -> None:
    file["node/nodes/a/tau"][2] = np.nan


def object_type(file: h5py.File) -> None:
    del file["node/nodes/l/weight"]
    file["node/nodes/l"].create_dataset("weight", data=np.zeros(3, dtype=[("a", "<f8")]))


def dangling(file: h5py.File) -> None:
    edges = file["node/edges"][()]
    edges[0, 0] = "nobody"
    file["node/edges"][...] = edges


def unknown_kind(file: h5py.File) -> None:
    file["node/nodes/a/type"][()] = "ALIF"


def unknown_filter(file: h5py.File) -> None:
    del file["node/nodes/l/weight"]
    file["node/nodes/l"].create_dataset("weight", data=np.ones((10, 12)), compression="lzf")


def no_type(file: h5py.File) -> None:
    del file["node/nodes/a/type"]


CRAFTED: list[tuple[Callable[[h5py.File], None], str]] = [
    (soft_link, "/node/nodes/l/weight is a SoftLink; only hard links are read"),
    (outside_link, "/node/nodes/l/weight is a ExternalLink; only hard links are read"),
    (outside_storage, "/node/nodes/l/weight keeps its data in another file"),
    (cycle, "is a second link to an object already read"),
    (alias, "/node/nodes/w/weight is a second link to an object already read"),
    (huge, "bytes of arrays; at most 4294967296 (max_bytes)"),
    (not_a_number, "/node/nodes/a/tau[2] is nan; numbers must be finite"),
    (object_type, "/node/nodes/l/weight has type"),
    (dangling, "/node/edges names 'nobody', which is no node"),
    (unknown_kind, "NIR node 'a' is of kind 'ALIF', which no graph can express"),
    (unknown_filter, "/node/nodes/l/weight uses HDF5 filters"),
    (no_type, "/node/nodes/a/type is missing"),
]


@pytest.mark.parametrize(("craft", "says"), CRAFTED, ids=[craft.__name__ for craft, _ in CRAFTED])
def test_crafted_files_are_refused(craft: Callable[[h5py.File], None], says: str, tmp_path: Path) -> None:
    path = files.written("recurrent_flat", tmp_path)
    with h5py.File(path, "r+") as file:
        craft(file)
    with pytest.raises(FormatError) as told:
        load_nir(path, Stepping(1e-3))
    assert str(path) in str(told.value)
    assert says in str(told.value)


def test_what_is_no_nir_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.nir")
    (tmp_path / "text.nir").write_text("hello")
    with pytest.raises(FormatError, match="cannot be read as NIR"):
        read(tmp_path / "text.nir")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FormatError, match="no /node: this is no NIR file"):
        read(tmp_path / "other.h5")
    nir.write(tmp_path / "single.nir", files.lif(3))
    with pytest.raises(FormatError, match="single LIF; wrap it in a NIRGraph"):
        read(tmp_path / "single.nir")


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = files.written("recurrent_nested", tmp_path).read_bytes()
    for share in np.linspace(0.01, 0.99, 40):
        (path := tmp_path / "cut.nir").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FormatError):
            read(path)


@pytest.mark.parametrize(
    ("ways", "says"),
    [
        (("input l a output", "a w a", "l2 l2"), "the linear nodes 'l2' ... 'l2' form a loop without a neuron"),
        (("input l a output",), "NIR node 'w' (Linear) gets no input; connect or remove it"),
        (("input a output", "a w a"), "NIR node 'a' (LIF) gets signals of the shapes"),
        (("input l a", "a w a", "li l2 a", "l li", "a output"), "NIR node 'li' (LI) gives a potential to 'a' (LIF)"),
        (("input l li output", "li w a", "l a"), "NIR node 'li' (LI) gives a potential to 'a' (LIF)"),
    ],
)
def test_graphs_that_cannot_be_expressed(ways: tuple[str, ...], says: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = files.ends(12, 10) | {"l": nir.Linear(files.weights(rng, 10, 12)), "a": files.lif(10)}
    nodes |= {name: nir.Linear(files.weights(rng, 10, 10)) for name in ("w", "l2")}
    nodes["li"] = nir.LI(*(np.full(10, value) for value in (0.02, 1.0, 0.0)))
    used = {name for way in ways for name in way.split()} | ({"w"} if "gets no input" in says else set())
    nir.write(path := tmp_path / "odd.nir", files.graph({name: node for name, node in nodes.items() if name in used}, *ways))
    with pytest.raises(FormatError) as told:
        load_nir(path, Stepping(1e-3))
    assert says in str(told.value)


def test_a_delay_that_is_no_multiple_of_dt(tmp_path: Path) -> None:
    nodes = files.ends(2, 2) | {"d": nir.Delay(np.array([1e-3, 1.5e-3])), "a": files.lif(2)}
    nir.write(path := tmp_path / "late.nir", files.graph(nodes, "input d a output"))
    with pytest.raises(FormatError, match=r"NIR node 'd' \(Delay\): a delay of 0.0015 s is no multiple of dt, 0.001 s"):
        load_nir(path, Stepping(1e-3))
    assert {int(d) for d in load_nir(path, Stepping(5e-4)).graph.projections[0].delays} == {2, 3}


def test_names_that_a_graph_does_not_allow(tmp_path: Path) -> None:
    nodes = files.ends(2, 2) | {"Schicht 1 ä": files.lif(2), "l": nir.Linear(np.eye(2))}
    g = nir.NIRGraph(nodes=nodes, edges=[("input", "l"), ("l", "Schicht 1 ä"), ("Schicht 1 ä", "output")], type_check=False)
    nir.write(path := tmp_path / "names.nir", g)
    found = load_nir(path, Stepping(1e-3)).graph
    assert [p.name for p in found.populations] == ["input", "Schicht_1__"]
    assert found.metadata["nir.node.Schicht_1__"] == "Schicht 1 ä"
