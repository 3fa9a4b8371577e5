"""netx files, read back by a loader of its own (h5py and numpy alone) and run by the equations of Lava's LIF."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neuromorph.backends import backend
from neuromorph.cli.netx import netx
from neuromorph.errors import GraphError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection, save
from neuromorph.hardware import load_profile
from neuromorph.netx import as_loaded, netx_grid, save_netx
from neuromorph.quantize import quantize
from neuromorph.spikes import Spikes

LOIHI1, LOIHI2 = load_profile("loihi1"), load_profile("loihi2")


def read_layers(path: Path) -> list[dict]:
    """The layers of a netx file, as plain values."""
    with h5py.File(path, "r") as file:
        layers = [file[f"layer/{i}"] for i in range(len(file["layer"]))]
        assert layers[0]["type"][0] == b"input"
        assert layers[0]["type"].dtype == np.dtype("S10")
        assert [layer["type"][0] for layer in layers[1:]] == [b"dense_rec" if "weight_rec" in x else b"dense" for x in layers[1:]]
        assert all(layer["neuron/type"][()] == b"CUBA" for layer in layers[1:])
        found = [{k: layer[k][()] for k in ("shape", "weight", "weight_rec", "delay", "bias") if k in layer} for layer in layers]
        for values, layer in zip(found[1:], layers[1:]):
            values |= {k: int(layer["neuron"][k][()]) for k in ("iDecay", "vDecay", "vThMant")}
        return found


def run_file(path: Path, inputs: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Spikes of every LIF layer [steps, n] and v of the last, for input spikes [steps, n_in]: Lava's fixed-point LIF and Dense.

    A Dense sends at step t what it computed at step t - 1; a delay d of DelayDense adds d steps.
    """
    layers = read_layers(path)[1:]
    arriving = [np.zeros((64, len(layer["weight"])), np.int64) for layer in layers]  # row 0: next step
    u, v = ([np.zeros(len(layer["weight"]), np.int64) for layer in layers] for _ in range(2))
    fired, last = [np.zeros((len(inputs), len(x)), bool) for x in u], []
    for t, source in enumerate(inputs):
        for i, layer in enumerate(layers):
            a, arriving[i] = arriving[i][0], np.vstack([arriving[i][1:], 0 * arriving[i][:1]])
            u[i] = decayed(u[i], layer["iDecay"]) + (a << 6)
            u[i] = np.where(u[i] > 2**23, u[i] - 2**24, np.where(u[i] <= -(2**23), u[i] + 2**24, u[i]))
            bias = layer.get("bias", np.int64(0)).astype(np.int64) << 6
            v[i] = np.clip(decayed(v[i], layer["vDecay"]) + u[i] + bias, -(2**23) + 1, 2**23 - 1)
            if i == len(layers) - 1:
                last.append(v[i])
            fired[i][t] = v[i] > layer["vThMant"] << 6
            v[i] = np.where(fired[i][t], 0, v[i])
        for i, layer in enumerate(layers):
            weight, before = layer["weight"].astype(np.int64), source if i == 0 else fired[i - 1][t]
            delay = layer.get("delay", np.zeros_like(weight))
            for d in np.unique(delay):
                arriving[i][d] += (weight * (delay == d)) @ before
            if "weight_rec" in layer:
                arriving[i][0] += layer["weight_rec"].astype(np.int64) @ fired[i][t]
    return fired, np.array(last)


def decayed(x: np.ndarray, k: int) -> np.ndarray:
    return np.sign(x) * ((np.abs(x) * (4096 - k)) >> 12)


def random_chain(rng: np.random.Generator, readout: bool = False) -> Graph:
    """One to three LIF populations; exponents, delays, bias, recurrence and synaptic currents at random; it fires."""
    sizes = rng.integers(1, 9, rng.integers(2, 5))
    names = ["in", "a", "b", "c"][: len(sizes)]
    populations, projections = [Input("in", int(sizes[0]))], []
    for i in range(1, len(sizes)):
        n, final = int(sizes[i]), i == len(sizes) - 1
        constants = {"decay_v": int(rng.integers(1000, 4096)), "decay_u": int(rng.choice([0, 2000, 3000])), "precision": "integer"}
        bias = 64 * rng.integers(-20, 20, n) if rng.random() < 0.5 else 0
        if readout and final:
            populations.append(LI.of(names[i], n, **constants, bias=bias))
        else:
            v_th = int(rng.integers(20, 300))
            populations.append(LIF.of(names[i], n, **constants, bias=bias, v_th=v_th, reset="to_value"))
        recurrent = bool(rng.random() < 0.5) and not (readout and final)
        delays = 1 if recurrent or rng.random() < 0.5 else rng.integers(1, 64, (int(sizes[i - 1]), n))
        projections.append(random_projection(rng, names[i - 1], names[i], (int(sizes[i - 1]), n), delays))
        if recurrent:
            projections.append(random_projection(rng, names[i], names[i], (n, n), 1))
    order = rng.permutation(len(projections))
    return Graph(1e-3, tuple(populations), tuple(projections[k] for k in order))


def random_projection(rng: np.random.Generator, source: str, target: str, shape: tuple[int, int], delays) -> Projection:
    """Even weights, 7 in 10 of the synapses, whose exponent can be folded in; the first is positive and the strongest."""
    exponent = int(rng.integers(-2, 4))
    half = (254 >> abs(exponent)) // 2
    weights = 2 * rng.integers(-half, half + 1, shape) * (rng.random(shape) < 0.7)
    weights.flat[0] = 2 * half
    return Projection.from_dense(source, target, weights << max(0, -exponent), delays=delays, weight_exp=exponent)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rate=st.sampled_from([0.1, 0.3, 0.6]))
def test_the_file_fires_as_the_reference(tmp_path_factory: pytest.TempPathFactory, seed: int, rate: float) -> None:
    """Every spike of every layer, at the same step."""
    rng = np.random.default_rng(seed)
    graph = random_chain(rng)
    path = tmp_path_factory.mktemp("netx") / "chain.net"
    names = save_netx(path, graph)
    dense = rng.random((40, 1, graph.inputs[0].n)) < rate
    recording = backend("reference").run(graph, Spikes.from_dense(dense, graph.dt))
    fired, _ = run_file(path, dense[:, 0])
    assert names == tuple(p.name for p in graph.populations)
    for name, spikes in zip(names[1:], fired):
        assert (recording.spikes[name].to_dense()[:, 0] == spikes).all(), name


def test_random_chains_fire() -> None:
    """The property above is about something: half of the chains fire in every layer; many recur, many have delays."""
    total, recurrent, delayed, layers = 0, 0, 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        graph = random_chain(rng)
        dense = rng.random((40, 1, graph.inputs[0].n)) < 0.3
        recording = backend("reference").run(graph, Spikes.from_dense(dense, graph.dt))
        total += all(0 < len(s) < 40 * graph.population(name).n for name, s in recording.spikes.items())
        layers += len(graph.neurons)
        recurrent += sum(q.source == q.target for q in graph.projections)
        delayed += any(q.max_delay > 1 for q in graph.projections)
    assert total >= 10
    assert recurrent >= layers / 4
    assert delayed >= 5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_silent_layer_holds_the_readout(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_chain(rng, readout=True)
    path = tmp_path_factory.mktemp("netx") / "chain.net"
    save_netx(path, graph, readout="silent")
    dense = rng.random((40, 1, graph.inputs[0].n)) < 0.3
    recording = backend("reference").run(graph, Spikes.from_dense(dense, graph.dt))
    fired, v = run_file(path, dense[:, 0])
    assert not fired[-1].any()
    assert (recording.readouts[graph.readouts[0].name][:, 0] == v).all()


def test_layout_by_hand(tmp_path: Path) -> None:
    """lava-dl's names and shapes: weights [out, in] with their exponent, decays as 4096 less ours, delays less one, bias >> 6."""
    a = LIF.of("a", 3, decay_v=4000, decay_u=3000, v_th=80, bias=[0, 64, -128], reset="to_value", precision="integer")
    y = LI.of("y", 1, decay_v=4095, precision="integer")
    weights = np.array([[2, -4, 6], [0, 10, -126]])
    projections = (
        Projection.from_dense("in", "a", weights, delays=np.array([[1, 2, 63], [9, 1, 1]]), weight_exp=1),
        Projection.from_dense("a", "y", np.full((3, 1), 8), weight_exp=-2),
    )
    graph = Graph(1e-3, (Input("in", 2), a, y), projections)
    assert save_netx(tmp_path / "x.net", graph, readout="silent") == ("in", "a", "y")
    source, hidden, readout = read_layers(tmp_path / "x.net")
    assert source["shape"].tolist() == [2]
    assert hidden["weight"].tolist() == [[4, 0], [-8, 20], [12, -252]]
    assert hidden["delay"].tolist() == [[0, 0], [1, 0], [62, 0]]
    assert (hidden["iDecay"], hidden["vDecay"], hidden["vThMant"], hidden["bias"].tolist()) == (1096, 96, 80, [0, 1, -2])
    assert readout["weight"].tolist() == [[2, 2, 2]]
    assert (readout["iDecay"], readout["vDecay"], readout["vThMant"], "bias" in readout) == (4096, 1, 2**17 - 1, False)
    assert save_netx(tmp_path / "y.net", graph, readout="drop") == ("in", "a")
    assert len(read_layers(tmp_path / "y.net")) == 2


def lif(name: str = "a", n: int = 2, **constants) -> LIF:
    return LIF.of(name, n, **{"decay_v": 4000, "v_th": 100, "reset": "to_value"} | constants, precision="integer")


def project(source: str, target: str, weights=((2, 4), (6, -8)), **options) -> Projection:
    return Projection.from_dense(source, target, np.array(weights), **options)


SOURCE = Input("in", 2)
ALL_NEGATIVE = [[-64, -2], [-2, 0]]
REFUSED = {
    "two inputs": ((SOURCE, Input("in2", 2), lif()), (project("in", "a"), project("in2", "a", name="q")), "has 2 Inputs; netx allows one"),
    "adaptation": (
        (SOURCE, ALIF.of("a", 2, decay_v=4000, v_th=100, decay_a=4000, kappa=5, reset="to_value", precision="integer")),
        (project("in", "a"),),
        "'a': it is ALIF; netx allows LIF",
    ),
    "subtraction": ((SOURCE, lif(reset="subtract")), (project("in", "a"),), "'a': reset is 'subtract'; netx's LIF resets to 0"),
    "refractory": ((SOURCE, lif(n_ref=2)), (project("in", "a"),), "'a': n_ref reaches 2"),
    "per neuron": (
        (SOURCE, lif(decay_v=[4000, 4001])),
        (project("in", "a"),),
        r"decay_v has 2 values \(4000 to 4001\); netx allows one",
    ),
    "thresholds": ((SOURCE, lif(v_th=[1, 2])), (project("in", "a"),), "'a': v_th has 2 values"),
    "bias": ((SOURCE, lif(bias=65)), (project("in", "a"),), "'a': bias is 65; netx allows multiples of 64"),
    "large bias": ((SOURCE, lif(bias=2**18)), (project("in", "a"),), r"bias is 262144.*from -262144 to 262080"),
    "readout": (
        (SOURCE, LI.of("y", 2, decay_v=9, precision="integer")),
        (project("in", "y"),),
        r"'y': it is a readout .* choose readout='drop' or readout='silent'",
    ),
    "branch": (
        (SOURCE, lif("a"), lif("b")),
        (project("in", "a"), project("in", "b")),
        "'in': it projects to 'a', 'b' while 'a', 'b' .* chain",
    ),
    "unreached": ((SOURCE, lif("a"), lif("b")), (project("in", "a"),), "'a': it projects to nothing while 'b'"),
    "skip": (
        (SOURCE, lif("a"), lif("b")),
        (project("in", "a"), project("a", "b"), project("b", "a")),
        "'b->a': it leaves the chain; netx allows 'in' and 'a' to project to 'a'",
    ),
    "parallel": ((SOURCE, lif()), (project("in", "a"), project("in", "a", name="second")), "'in->a', 'second': netx allows one from 'in'"),
    "delay": ((SOURCE, lif()), (project("in", "a", delays=64),), "'in->a': delay 64; netx allows 63 of a projection"),
    "recurrent delay": (
        (SOURCE, lif()),
        (project("in", "a", delays=2), project("a", "a")),
        "'in->a': delay 2; netx allows 1 onto a population with recurrence",
    ),
    "exponent": ((SOURCE, lif()), (project("in", "a", weight_exp=6),), "'in->a': weights with their exponent are -512 to 384.*netx_grid"),
    "fraction": ((SOURCE, lif()), (project("in", "a", weight_exp=-2),), "'in->a': weight_exp is -2 and not all weights are multiples of 4"),
    "no synapse": ((SOURCE, lif()), (project("in", "a", ((0, 0), (0, 0))),), "'in->a': all weights are 0"),
    "lost sign": ((SOURCE, lif()), (project("in", "a", ALL_NEGATIVE),), "'in->a': netx would load weight -64 as -63"),
    "odd beside mixed": (
        (SOURCE, lif()),
        (project("in", "a", ((131, 2), (2, 2)), signs=1), project("a", "a")),
        "'in->a' and 'a->a': netx would load weight 131 as 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_netx_cannot_hold_is_refused(case: str, tmp_path: Path) -> None:
    populations, projections, message = REFUSED[case]
    graph = Graph(1e-3, populations, projections)
    with pytest.raises(GraphError, match=message):
        save_netx(tmp_path / "x.net", graph)
    assert not list(tmp_path.iterdir())


def test_a_readout_alone_cannot_be_dropped(tmp_path: Path) -> None:
    graph = Graph(1e-3, (SOURCE, LI.of("y", 2, decay_v=9, precision="integer")), (project("in", "y"),))
    with pytest.raises(GraphError, match="no LIF population"):
        save_netx(tmp_path / "x.net", graph, readout="drop")


@pytest.mark.parametrize(
    ("matrices", "expected"),
    [
        ([[[3, -3]]], [[[3, -3]]]),  # odd and weak: shifted by 6, cut by 6
        ([[[127, -128]]], [[[127, -128]]]),
        ([[[255, 1]]], [[[255, 1]]]),  # one sign: all 8 bits
        ([[[-255, -1]]], [[[-255, -1]]]),
        ([[[-255, 0]]], [[[0, 0]]]),  # with a 0 netx counts 9 bits: Lava shifts by -1
        ([[[-254, 0]]], [[[-254, 0]]]),
        ([[[-64, -2]]], [[[-62, -2]]]),  # shifted to -256, which Lava clips at -255 and cuts by 3 bits to -248
        ([[[131, 2]], [[2, -2]]], [[[0, 0]], [[2, -2]]]),
        ([[[130, 2]], [[2, -2]]], [[[130, 2]], [[2, -2]]]),
    ],
)
def test_weights_as_loaded(matrices: list, expected: list) -> None:
    assert [m.tolist() for m in as_loaded([np.array(m) for m in matrices])] == expected


@pytest.mark.parametrize("signs", [None, 1, -1])
@pytest.mark.parametrize("recurrent", [False, True])
def test_floats_quantised_on_the_netx_grid_can_be_written(tmp_path: Path, signs: int | None, recurrent: bool) -> None:
    """No weight is clipped, the heaviest is 254, none errs by more than half a step of 2, and the file can be written."""
    rng = np.random.default_rng(2)
    p = LIF.from_time_constants("a", 8, dt=1e-3, tau_m=20e-3, tau_s=5e-3, v_th=1.0, reset="to_value")
    y = LI.from_time_constants("y", 2, dt=1e-3, tau_m=20e-3)
    weights = np.abs(rng.normal(size=(5, 8))) * (signs or 1) if signs else rng.normal(size=(5, 8))
    projections = [Projection.from_dense("in", "a", weights, signs=signs), Projection.from_dense("a", "y", rng.normal(size=(8, 2)))]
    if recurrent:
        projections.append(Projection.from_dense("a", "a", 0.3 * rng.normal(size=(8, 8))))
    floats = Graph(1e-3, (Input("in", 5), p, y), tuple(projections))
    graph, report = quantize(floats, LOIHI1, netx_grid(floats, LOIHI1))
    save_netx(tmp_path / "x.net", graph, readout="silent")
    assert report.clipped == 0
    scale = float(graph.metadata["scale.a"]) / 64
    wanted = weights * p.gain * scale
    assert np.abs(wanted).max() == pytest.approx(254)
    assert np.abs(read_layers(tmp_path / "x.net")[1]["weight"].T - wanted).max() <= 1 + 1e-9


def test_command(tmp_path: Path) -> None:
    """A float graph is quantised on the way; an adapting one is refused."""
    app = typer.Typer()
    app.command()(netx)
    p = LIF.from_time_constants("a", 2, dt=1e-3, tau_m=20e-3, v_th=1.0, reset="to_value")
    graph = Graph(1e-3, (SOURCE, p), (Projection.from_dense("in", "a", np.array([[1.0, -0.5], [0.2, 2.0]])),))
    save(tmp_path / "m.h5", graph)
    result = CliRunner().invoke(app, [str(tmp_path / "m.h5"), "--json"])
    assert result.exit_code == 0, result.output
    assert '"population": "a"' in result.stdout
    assert read_layers(tmp_path / "m.net")[1]["weight"].tolist() == [[128, 26], [-64, 254]]
    save(tmp_path / "n.h5", graph.replace(populations=(SOURCE, LIF.of("a", 2, decay_v=0.9, v_th=1.0, n_ref=2, reset="to_value"))))
    refused = CliRunner().invoke(app, [str(tmp_path / "n.h5")])
    assert isinstance(refused.exception, GraphError)
