"""NIR out: what the library reads, what other tools make of it, and the whole graph beside it."""

from contextlib import suppress
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import neuromorph as nm
from neuromorph.errors import FormatError, GraphError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.graph.plasticity import Plasticity
from neuromorph.graph.populations import replace
from neuromorph.nir import Stepping, export_nir, import_nir, load_nir, write_nir
from tests.nir import files
from tests.nir.oracle import simulate
from tests.strategies import graphs, random_graph

DT, STEPS = 1e-3, 100


def plain(delays: int | np.ndarray = 1, bias: float = 0.0) -> Graph:
    rng = np.random.default_rng(0)
    hidden = LIF.of("hidden", 8, decay_v=0.9, decay_u=0.8, v_th=0.3, v_reset=-0.1, reset="to_value", gain=rng.uniform(0.1, 0.3, 8))
    out = LI.of("out", 3, decay_v=0.95, bias=bias)
    ends = (("input", "hidden", (6, 8), 1), ("hidden", "hidden", (8, 8), delays), ("hidden", "out", (8, 3), 1))
    made = tuple(Projection.from_dense(a, b, rng.normal(size=shape), delays=d) for a, b, shape, d in ends)
    return Graph(DT, (Input("input", 6), hidden, out), made)


def shown(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((STEPS, 1, n)) < 0.2


@pytest.mark.parametrize("name", files.NETWORKS)
def test_what_came_as_nir_goes_out_again_to_the_same_graph(name: str, tmp_path: Path) -> None:
    """By the graph beside it, equal; by its NIR alone, the same spikes in every population."""
    graph = load_nir(files.written(name, tmp_path), Stepping(DT)).graph
    made = write_nir(path := tmp_path / "out.nir", graph)
    assert not made.lost
    assert nir.read(path).nodes.keys() == made.graph.nodes.keys(), "the library reads it, types checked"
    assert load_nir(path).graph == graph
    assert nm.load(path) == graph
    again = import_nir(made.graph, Stepping(DT)).graph
    x = nm.Spikes.from_dense(shown(graph.inputs[0].n), DT)
    first, second = (nm.backend("fast").run(g, x) for g in (graph, again))
    for p in graph.neurons:
        if p.name == "always":
            continue
        late = int(graph.metadata.get(f"latency.{p.name}", 0))
        other = next(q for q in again.neurons if q.name in (p.name, p.name.replace(".", "_")))
        later = int(again.metadata.get(f"latency.{other.name}", 0))
        if isinstance(p, LI):
            ends = STEPS - max(late, later)
            found = second.readouts[other.name][later : later + ends]
            assert np.allclose(first.readouts[p.name][late : late + ends], found, atol=1e-9)
            continue
        a, b = first.spikes[p.name].to_dense()[late:], second.spikes[other.name].to_dense()[later:]
        ends = min(len(a), len(b))
        assert a.any()
        assert np.array_equal(a[:ends], b[:ends])


def test_the_equations_of_what_is_written_are_those_of_the_graph(tmp_path: Path) -> None:
    """By the oracle for NIR files, which knows nothing of this package; delays on the loop."""
    graph = plain(delays=3)
    write_nir(path := tmp_path / "out.nir", graph)
    x = shown(6)
    recording = nm.backend("reference").run(graph, nm.Spikes.from_dense(x, DT))
    wanted = simulate(nir.read(path), x[:, 0], DT)
    z = recording.spikes["hidden"].to_dense()[1:, 0]
    assert z.sum() > 50
    assert np.array_equal(z, wanted["hidden"][:-1] > 0)
    assert np.allclose(recording.readouts["out"][2:, 0], wanted["out"][:-2])


def test_synapses_of_several_delays_become_several_ways(tmp_path: Path) -> None:
    delays = np.random.default_rng(2).integers(1, 4, (8, 8))
    graph = plain(delays)
    made = write_nir(path := tmp_path / "out.nir", graph)
    assert sum(name.startswith("w_hidden_hidden") for name in made.graph.nodes) == 3
    x = shown(6)
    wanted = simulate(nir.read(path), x[:, 0], DT)["hidden"]
    z = nm.backend("reference").run(graph, nm.Spikes.from_dense(x, DT)).spikes["hidden"].to_dense()
    assert np.array_equal(z[1:, 0], wanted[:-1] > 0)


def test_a_bias_begins_with_the_input(tmp_path: Path) -> None:
    made = write_nir(path := tmp_path / "out.nir", plain(bias=0.2))
    assert made.notes == ("biases of neurons begin with the input, in the graph at its start",)
    y = simulate(nir.read(path), np.zeros((300, 6)), DT)["out"]
    assert np.allclose(y[-1], 0.2 / 0.05, rtol=1e-4)


def with_forms() -> dict[str, tuple[Graph, str]]:
    graph = plain()
    _, hidden, out = graph.populations
    assert isinstance(hidden, LIF)
    adaptive = ALIF.of("hidden", 8, decay_v=0.9, v_th=0.3, decay_a=0.99, kappa=0.1, reset="to_value")
    alpha = np.full(64, 0.5)
    learning = Plasticity("modulated", alpha, eta=0.1, decay_pre=0.9, clip=1.0, third_factor="reward")
    q = graph.projection("hidden->hidden")
    plastic = Projection(q.name, q.source, q.target, q.indptr, q.indices, q.weights, q.delays, plasticity=learning)
    return {
        "adapts, for which NIR has no neuron": (graph.replace(populations=(graph.populations[0], adaptive, out)), "hidden"),
        "resets by subtraction": (graph.replace(populations=(graph.populations[0], replace(hidden, reset="subtract"), out)), "hidden"),
        "is refractory": (graph.replace(populations=(graph.populations[0], replace(hidden, n_ref=np.full(8, 2)), out)), "hidden"),
        "is plastic": (graph.replace(projections=(graph.projections[0], plastic, graph.projections[2])), "hidden->hidden"),
    }


@pytest.mark.parametrize("why", with_forms())
def test_what_nir_lacks_is_refused_or_named(why: str, tmp_path: Path) -> None:
    graph, name = with_forms()[why]
    with pytest.raises(GraphError) as told:
        write_nir(tmp_path / "out.nir", graph)
    assert f"{name!r} {why}" in str(told.value)
    assert "Ask for lossy" in str(told.value)
    assert not (tmp_path / "out.nir").exists()
    made = write_nir(tmp_path / "out.nir", graph, lossy=True)
    assert len(made.lost) == 1
    nir.read(tmp_path / "out.nir")
    assert load_nir(tmp_path / "out.nir").graph == graph, "the graph beside it is whole"


def test_integers_are_refused() -> None:
    with pytest.raises(GraphError, match="export the float graph"):
        export_nir(random_graph(np.random.default_rng(0), precision="integer"))


def test_an_edit_by_another_tool_is_told(tmp_path: Path) -> None:
    write_nir(path := tmp_path / "out.nir", plain())
    with h5py.File(path, "r+") as file:
        file["node/nodes/w_input_hidden/weight"][0, 0] += 1.0
    found = load_nir(path)
    assert found.assumptions[0].startswith("Another tool has edited the NIR")
    weights = found.graph.projection("input->hidden").to_dense(8)
    assert weights[0, 0] == pytest.approx(plain().projection("input->hidden").to_dense(8)[0, 0] + 1.0)
    with h5py.File(path, "r+") as file:
        file["node/nodes/w_input_hidden/weight"][0, 0] -= 1.0
    assert load_nir(path).graph == plain(), "edited back"


def test_dt_is_asked_for_where_no_graph_lies_beside(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="do not carry the length of a step; give dt"):
        load_nir(files.written("feed_forward", tmp_path))


def test_norse_makes_the_same_spikes_of_it(tmp_path: Path) -> None:
    """With its dt given; of neurons without a synaptic current, which it takes for the leak of the membrane, too."""
    import norse.torch as norse

    rng = np.random.default_rng(0)
    hidden = LIF.of("hidden", 12, decay_v=0.9, v_th=0.3, reset="to_value")
    out = LIF.of("out", 4, decay_v=0.95, v_th=0.2, reset="to_value", bias=0.01)
    made = tuple(
        Projection.from_dense(a, b, 3 * rng.normal(size=s)) for a, b, s in (("input", "hidden", (6, 12)), ("hidden", "out", (12, 4)))
    )
    graph = Graph(DT, (Input("input", 6), hidden, out), made)
    write_nir(path := tmp_path / "out.nir", graph)
    x = shown(6)
    recording = nm.backend("reference").run(import_nir(export_nir(graph).graph, Stepping(DT)).graph, nm.Spikes.from_dense(x, DT))
    model, state, fired = norse.from_nir(nir.read(path), dt=DT).double(), None, []
    with torch.no_grad():
        for now in torch.from_numpy(x.astype(np.float64)):
            z, state = model(now, state)
            fired.append(z.numpy() > 0)
    z = recording.spikes["out"].to_dense()[2:]
    assert z.sum() > 20
    assert np.array_equal(z, np.stack(fired)[:-2])


@settings(max_examples=40, deadline=None)
@given(graph=graphs())
def test_any_graph_goes_out_or_is_refused_by_name(graph: Graph) -> None:
    made = None
    with suppress(GraphError):
        made = export_nir(graph, lossy=True)
    if made is None:
        assert graph.precision == "integer" or any(not graph.incoming(p.name) for p in graph.neurons)
        return
    import_nir(made.graph, Stepping(graph.dt))
