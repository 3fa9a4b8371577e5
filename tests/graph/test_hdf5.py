"""The graph's file: what is saved is loaded, equal graphs give equal bytes, and a reader in any language finds its way."""

import multiprocessing
import string
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromorph.errors import FormatError, GraphError
from neuromorph.graph import LI, Graph, Input, Projection, container, load, save
from neuromorph.graph.container import Group
from tests.strategies import graphs, random_graph

SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = st.text(string.ascii_letters + string.digits + "_.>-", min_size=1, max_size=128).filter(lambda k: k[0] not in ".>-")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@pytest.mark.parametrize("precision", ["float", "integer"])
@SETTINGS
@given(data=st.data())
def test_load_gives_back_what_save_got(precision: str, data: st.DataObject, tmp_path: Path):
    graph = data.draw(graphs(precision=precision))
    save(tmp_path / "g.h5", graph)
    loaded = load(tmp_path / "g.h5")
    assert loaded == graph
    assert [p.name for p in loaded.populations] == [p.name for p in graph.populations]
    for one, other in zip(loaded.projections, graph.projections):
        for field in ("indptr", "indices", "weights", "delays"):
            assert getattr(one, field).dtype == getattr(other, field).dtype
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@SETTINGS
@given(metadata=st.dictionaries(KEYS, TEXTS, max_size=8))
def test_every_metadata_string_survives(metadata: dict[str, str], tmp_path: Path):
    graph = Graph(1e-3, (Input("in", 1),), (), metadata)
    save(tmp_path / "g.h5", graph)
    assert dict(load(tmp_path / "g.h5").metadata) == metadata


def test_the_longest_metadata_survives(tmp_path: Path):
    graph = Graph(1e-3, (Input("in", 1),), (), {"k" * 128: "é" * 30_000})
    save(tmp_path / "g.h5", graph)
    assert load(tmp_path / "g.h5") == graph


def _saved_bytes(seed: int, folder: str) -> bytes:
    path = Path(folder) / f"{multiprocessing.current_process().pid}.h5"
    save(path, random_graph(np.random.default_rng(seed)))
    return path.read_bytes()


def test_equal_graphs_give_equal_bytes_also_from_another_process(tmp_path: Path):
    here = [_saved_bytes(seed, str(tmp_path)) for seed in range(4)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.starmap(_saved_bytes, [(seed, str(tmp_path)) for seed in range(4)])
    assert here == there
    assert len(set(here)) == 4


def test_a_numpy_integer_makes_no_difference(tmp_path: Path):
    """Sizes and exponents come out of numpy computations; they must not change digest or file."""
    graph = random_graph(np.random.default_rng(0), precision="integer")
    p = graph.projections[0]
    object.__setattr__(p, "weight_exp", np.int64(p.weight_exp))
    save(tmp_path / "g.h5", graph)
    assert load(tmp_path / "g.h5").digest() == graph.digest()


def _stored(path: Path, place: str) -> np.dtype:
    with h5py.File(path) as file:
        return file[f"neuromorph/content/{place}"].dtype


@pytest.mark.parametrize(("n_target", "kind"), [(128, "i1"), (129, "i2"), (2**15, "i2"), (2**15 + 1, "i4")])
def test_integers_are_stored_as_narrow_as_they_fit(tmp_path: Path, n_target: int, kind: str):
    last = np.array([n_target - 1])
    readout = LI.of("out", n_target, decay_v=0.5)
    projection = Projection("p", "in", "out", np.array([0, 1]), last, np.array([0.5]), np.array([1]))
    save(tmp_path / "g.h5", Graph(1e-3, (Input("in", 1), readout), (projection,)))
    assert _stored(tmp_path / "g.h5", "projections/p/indices") == np.dtype(kind)
    assert _stored(tmp_path / "g.h5", "projections/p/delays") == np.dtype("i1")
    assert load(tmp_path / "g.h5").projections[0].indices.dtype == np.int64


def test_big_arrays_are_split_into_chunks_of_a_mebibyte(tmp_path: Path):
    tree = Group(arrays={"a": np.arange(3 * 2**18, dtype="<i8"), "b": np.zeros((2, 300_000, 2)), "c": np.zeros((5, 0), "<i4")})
    container.write(tmp_path / "f.h5", "test", 1, tree)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["neuromorph/content/a"].chunks == (2**17,)
        assert file["neuromorph/content/b"].chunks == (1, 2**16, 2)
    back = container.read(tmp_path / "f.h5", "test", 1)
    for name, array in tree.arrays.items():
        assert back.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(back.arrays[name], array)


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        (Group(arrays={"a": np.array([1.0, np.nan])}), "/a holds NaN"),
        (Group(arrays={"a": np.array(["x"])}), "/a is <U1"),
        (Group(arrays={"a": np.zeros((1, 1, 1, 1))}), "/a is float64 of shape"),
        (Group(arrays={"a/b": np.zeros(1)}), "/'a/b': a name has"),
        (Group({"x": "a\0b"}), "@x: a string has no NUL"),
        (Group({"x": "y" * 60_001}), "@x: a string has"),
        (Group({"x": float("inf")}), "@x is inf"),
        (Group({"x": 2**63}), "@x is 9223372036854775808"),
        (Group(groups={f"g{i}": Group() for i in range(4097)}), "over 4096 members"),
    ],
)
def test_nothing_is_written_that_cannot_be_read(tmp_path: Path, tree: Group, place: str):
    with pytest.raises(FormatError) as error:
        container.write(tmp_path / "f.h5", "test", 1, Group(groups={"inner": tree}))
    assert f"/inner{place}" in str(error.value) or place in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_reported_as_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"absent\.h5: no such file"):
        load(tmp_path / "absent.h5")


# -- the content tree, attacked below the checksum: a valid container whose content is no graph ------------------------


def _tree(path: Path) -> Group:
    save(path, GRAPH)
    return container.read(path, "graph", 1)


GRAPH = Graph(
    1e-3,
    (Input("in", 2), LI.of("out", 3, decay_v=0.5)),
    (Projection("p", "in", "out", *(np.array(x) for x in ([0, 2, 3], [0, 2, 1], [0.5, -0.25, 1.0], [1, 2, 1]))),),
    {"by": "me"},
)

BROKEN = [
    ("dt", lambda t: t.attributes.update(dt=-1.0), "dt is -1.0"),
    ("dt type", lambda t: t.attributes.update(dt=1), "/: dt is int, wanted float"),
    ("no dt", lambda t: t.attributes.pop("dt"), "/: dt is nothing, wanted float"),
    ("precision", lambda t: t.attributes.update(precision="half"), "/@precision is 'half'"),
    ("other precision", lambda t: t.attributes.update(precision="integer"), "/populations/out/decay_v is float64; wanted integers"),
    ("no group", lambda t: t.groups.pop("metadata"), "/: metadata is nothing, wanted group"),
    ("extra group", lambda t: t.groups.update(more=Group()), "/: more is group, wanted nothing"),
    ("extra array", lambda t: t.arrays.update(a=np.zeros(1)), "/: a is array, wanted nothing"),
    ("array among populations", lambda t: t.groups["populations"].arrays.update(a=np.zeros(1)), "/populations: a is array"),
    (
        "type",
        lambda t: _pop(t).attributes.update(type="Izhikevich"),
        "/populations/out@type is 'Izhikevich'; allowed: Input, LI, LIF, ALIF",
    ),
    ("LIF without threshold", lambda t: _pop(t).attributes.update(type="LIF"), "/populations/out: n_ref is nothing, wanted array"),
    ("extra constant", lambda t: _pop(t).arrays.update(tau=np.zeros(3)), "/populations/out: tau is array, wanted nothing"),
    ("n", lambda t: _pop(t).attributes.update(n=4), "/populations/out/decay_v has shape (3,); wanted (4,)"),
    ("n of an input", lambda t: t.groups["populations"].groups["in"].attributes.update(n=-2), "Population 'in': n is -2"),
    ("two-dimensional", lambda t: _pop(t).arrays.update(gain=np.zeros((3, 1))), "/populations/out/gain has shape (3, 1)"),
    ("index", lambda t: _pop(t).attributes.update(index=0), "/populations: the attributes index are [0]; they must count 0..1"),
    ("index beyond", lambda t: _pop(t).attributes.update(index=7), "/populations: the attributes index are [0, 7]"),
    ("decay", lambda t: _pop(t).arrays.update(decay_v=np.full(3, 1.5)), "Population 'out': decay_v has 1.5"),
    ("source", lambda t: _proj(t).attributes.update(source="nobody"), "Projection 'p': source 'nobody'"),
    ("weight_exp", lambda t: _proj(t).attributes.update(weight_exp="0"), "/projections/p: weight_exp is str, wanted int"),
    ("weight_exp of floats", lambda t: _proj(t).attributes.update(weight_exp=1), "Projection 'p': weight_exp is 1"),
    ("no weights", lambda t: _proj(t).arrays.pop("weights"), "/projections/p: weights is nothing, wanted array"),
    ("short weights", lambda t: _proj(t).arrays.update(weights=np.ones(2)), "/projections/p/weights has shape (2,); wanted (3,)"),
    ("float indices", lambda t: _proj(t).arrays.update(indices=np.zeros(3)), "/projections/p/indices is float64; wanted integers"),
    ("wide signs", lambda t: _proj(t).arrays.update(signs=np.ones(3, "<i4")), "/projections/p/signs is int32"),
    ("wrong signs", lambda t: _proj(t).arrays.update(signs=np.ones(3, "i1")), "weights[1] = -0.25 against its sign +1"),
    ("indptr falls", lambda t: _proj(t).arrays.update(indptr=np.array([0, 4, 3])), "Projection 'p': indptr must start at 0, never fall"),
    ("indptr start", lambda t: _proj(t).arrays.update(indptr=np.array([1, 2, 3])), "Projection 'p': indptr must start at 0"),
    ("indptr long", lambda t: _proj(t).arrays.update(indptr=np.array([0, 1, 2, 3])), "Projection 'p': indptr has shape (4,)"),
    ("index negative", lambda t: _proj(t).arrays.update(indices=np.array([-1, 2, 1])), "Projection 'p': indices reach 2 (lowest -1)"),
    ("index beyond", lambda t: _proj(t).arrays.update(indices=np.array([0, 3, 1])), "Projection 'p': indices reach 3"),
    ("repeated", lambda t: _proj(t).arrays.update(indices=np.array([2, 2, 1])), "Projection 'p': the targets of one source must ascend"),
    ("delay 0", lambda t: _proj(t).arrays.update(delays=np.array([0, 1, 1])), "Projection 'p': delay 0"),
    ("delay huge", lambda t: _proj(t).arrays.update(delays=np.array([2**40, 1, 1])), "Projection 'p': delay 1099511627776"),
    ("metadata number", lambda t: t.groups["metadata"].attributes.update(by=1), "/metadata: by is int, wanted str"),
    ("metadata group", lambda t: t.groups["metadata"].groups.update(by=Group()), "/metadata: by is group, wanted str"),
    ("bad name", lambda t: t.groups["populations"].groups.update({"x" * 200: _pop(t)}), "index are"),
]


def _pop(tree: Group) -> Group:
    return tree.groups["populations"].groups["out"]


def _proj(tree: Group) -> Group:
    return tree.groups["projections"].groups["p"]


@pytest.mark.parametrize(("harm", "message"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_well_formed_file_that_holds_no_graph_is_refused(tmp_path: Path, harm, message: str):
    path = tmp_path / "g.h5"
    tree = _tree(path)
    harm(tree)
    container.write(path, "graph", 1, tree)
    with pytest.raises(FormatError) as error:
        load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_the_graph_behind_the_broken_ones_is_sound(tmp_path: Path):
    container.write(tmp_path / "g.h5", "graph", 1, _tree(tmp_path / "g.h5"))
    assert load(tmp_path / "g.h5") == GRAPH


def test_metadata_that_no_file_can_hold_is_no_metadata():
    for key, text in (("a/b", ""), ("", ""), ("k", "a\0b"), ("k", "\ud800"), ("k", "x" * 60_001)):
        with pytest.raises(GraphError, match="Metadata"):
            Graph(1e-3, (Input("in", 1),), (), {key: text})
