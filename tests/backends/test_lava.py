"""Lava against the reference: integers bit for bit, floats spike for spike; the netlist, the self-test and how Lava is installed."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neuromorph.backends import Backend
from neuromorph.backends.base import Kept
from neuromorph.backends.lava import LavaBackend, check, installation, launch, needs, network, self_test, stock
from neuromorph.backends.lava.netlist import lower
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.cli import lava as cli
from neuromorph.errors import BackendError, GraphError, SaturationError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

DT = 1e-3
STEPS, SAMPLES = 50, 3

unavailable = LavaBackend().available()
lava = pytest.mark.skipif(unavailable is not None, reason=str(unavailable))


@pytest.fixture(scope="module", autouse=True)
def bytecode_of_the_workers(tmp_path_factory) -> Iterator[None]:
    """Each run starts a fresh interpreter: let the later ones load what the first has compiled, also where that is switched off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


def every_form(precision: str) -> Graph:
    """All forms of neuron, delays 1-5 in three projections, one-sign and mixed weights, exponents, loops."""
    rng = np.random.default_rng(7)
    integer = precision == "integer"

    def weights(n: int, m: int, density: float = 0.5) -> np.ndarray:
        matrix = rng.normal(size=(n, m)) * (rng.random((n, m)) < density)
        return np.clip(matrix * 100, -120, 120).astype(np.int64) // 2 * 2 if integer else matrix

    def delays(n: int, m: int) -> np.ndarray:
        return rng.integers(1, 6, (n, m))

    p = {"precision": precision}
    one = 4096 if integer else 1.0

    def d(factor):
        return (np.asarray(factor) * one).astype(np.int64) if integer else factor

    def unit(value):
        return (np.asarray(value) * 1000 * 64).astype(np.int64) if integer else value

    def threshold(value):
        return (np.asarray(value) * 1000).astype(np.int64) if integer else value

    varied = rng.uniform(0.8, 0.95, 9)
    populations = (
        Input("in", 6),
        Input("silent", 2),
        LIF.of("stock", 8, decay_v=d(0.93), decay_u=d(0.4), v_th=threshold(0.15), reset="to_value", bias=unit(0.01), **p),
        LIF.of("cuba", 7, decay_v=d(0.95), decay_u=d(rng.uniform(0.3, 0.7, 7)), v_th=threshold(0.2), n_ref=2, **p),
        ALIF.of(
            "lsnn",
            9,
            decay_v=d(varied),
            v_th=threshold(varied / 6),
            decay_a=d(0.98),
            kappa=unit(0.02),
            n_ref=rng.integers(0, 4, 9),
            bias=unit(varied / 500),
            **p,
        ),
        ALIF.of(
            "ahp", 5, decay_v=d(0.9), v_th=threshold(0.1), decay_a=d(0.95), kappa=unit(0.01), reset="to_value", adaptation="current", **p
        ),
        LI.of("out", 3, decay_v=d(0.95), decay_u=d(0.2), bias=-unit(0.1), **p),
    )
    of = Projection.from_dense
    projections = (
        of("in", "stock", weights(6, 8)),
        of("in", "cuba", weights(6, 7), delays=delays(6, 7)),
        of("stock", "lsnn", weights(8, 9), weight_exp=1 if integer else 0),
        of("in", "lsnn", abs(weights(6, 9)), signs=1, delays=delays(6, 9), weight_exp=-1 if integer else 0),
        of("lsnn", "lsnn", weights(9, 9), delays=1),
        of("cuba", "stock", -abs(weights(7, 8)), signs=-1),
        of("cuba", "ahp", weights(7, 5)),
        of("in", "ahp", abs(weights(6, 5, 0.9))),
        of("stock", "stock", weights(8, 8), weight_exp=-1 if integer else 0),
        of("lsnn", "out", weights(9, 3)),
        of("ahp", "out", weights(5, 3), delays=4),
        of("out_of_use", "out", np.zeros((1, 3), dtype=np.int64 if integer else np.float64)),
    )
    return Graph(DT, (*populations, Input("out_of_use", 1)), projections)


def noise(graph: Graph, n_steps: int = STEPS, n_samples: int = SAMPLES, rate: float = 0.3) -> dict[str, Spikes]:
    rng = np.random.default_rng(3)
    return {p.name: Spikes.from_dense(rng.random((n_steps, n_samples, p.n)) < rate, graph.dt) for p in graph.inputs}


EVERYTHING = Kept(("lif", "alif"), ("lif", "alif"))


def neurons(graph: Graph) -> list[str]:
    return [p.name for p in graph.populations if not isinstance(p, Input)]


def assert_identical(found: Recording, wanted: Recording) -> None:
    """Bit for bit, everything that a recording holds."""
    assert found.saturations == wanted.saturations
    for name, spikes in wanted.spikes.items():
        assert found.spikes[name] == spikes, name
    assert found.spikes.keys() == wanted.spikes.keys()
    for part, other in ((found.readouts, wanted.readouts), *((found.states[n], wanted.states[n]) for n in wanted.states)):
        assert part.keys() == other.keys()
        for name, trace in other.items():
            assert part[name].dtype == trace.dtype
            np.testing.assert_array_equal(part[name], trace, err_msg=name)
    assert found.states.keys() == wanted.states.keys()


@pytest.fixture(scope="module")
def integer_runs() -> tuple[Graph, dict[str, Spikes], Recording, Recording, list[tuple[int, int]]]:
    graph = every_form("integer")
    inputs = noise(graph)
    calls: list[tuple[int, int]] = []
    wanted = ReferenceBackend().run(graph, inputs, states=neurons(graph))
    found = LavaBackend().run(graph, inputs, states=neurons(graph), progress=lambda *call: calls.append(call))
    return graph, inputs, wanted, found, calls


@lava
def test_integers_bit_for_bit(integer_runs):
    graph, _, wanted, found, calls = integer_runs
    for name in ("stock", "cuba", "lsnn", "ahp"):
        assert 20 < len(wanted.spikes[name]) < 0.8 * np.prod(wanted.spikes[name].shape), f"{name}: the net must be lively to prove anything"
    assert_identical(found, wanted)
    assert (found.backend, found.precision, found.graph_digest) == ("lava", "integer", graph.digest())
    assert calls[-1] == (SAMPLES, SAMPLES)
    assert calls == sorted(calls)


@lava
def test_samples_do_not_leak_into_each_other(integer_runs):
    """The last sample alone, without recorded states, is the last sample of three."""
    graph, inputs, _, together, _ = integer_runs
    last = SAMPLES - 1
    alone = LavaBackend().run(graph, {name: spikes.select([last]) for name, spikes in inputs.items()})
    assert not alone.states
    for name, spikes in together.spikes.items():
        assert spikes.select([last]) == alone.spikes[name]
        assert spikes.select([0]) != alone.spikes[name]
    np.testing.assert_array_equal(together.readouts["out"][:, [last]], alone.readouts["out"])


@lava
def test_floats_spike_for_spike():
    graph = every_form("float")
    inputs = noise(graph)
    wanted = ReferenceBackend().run(graph, inputs, states=neurons(graph))
    found = LavaBackend().run(graph, inputs, states=neurons(graph))
    for name, spikes in wanted.spikes.items():
        assert len(spikes) > 20
        assert found.spikes[name] == spikes, name
    np.testing.assert_allclose(found.readouts["out"], wanted.readouts["out"], rtol=1e-9, atol=1e-12)
    for name, traces in wanted.states.items():
        assert found.states[name].keys() == traces.keys()
        for variable, trace in traces.items():
            np.testing.assert_allclose(found.states[name][variable], trace, rtol=1e-9, atol=1e-12, err_msg=f"{name}.{variable}")


@lava
def test_wraps_and_clips_are_counted_and_strict_raises():
    """u wraps and v clips in Lava's own LIF, in ours and in a readout; a clips in ours; counts and traces as in the reference.

    One population has no synapses: Lava runs it as a network of its own.
    """
    long = {"decay_v": 4090, "decay_u": 4000, "precision": "integer"}
    graph = Graph(
        DT,
        (
            Input("in", 2),
            LIF.of("stock", 2, v_th=2**17 - 1, reset="to_value", bias=4000 << 7, **long),
            LIF.of("own", 2, v_th=1000, n_ref=1, **long),
            ALIF.of("adaptive", 2, v_th=1000, bias=2**23 - 1, decay_a=4095, kappa=2**22, **long),
            LI.of("out", 2, **long),
            LIF.of("alone", 2, v_th=400, reset="to_value", bias=7000, **long),
        ),
        tuple(
            Projection.from_dense("in", name, np.array([[254, 40], [-256, 40]]), weight_exp=8)
            for name in ("stock", "own", "adaptive", "out")
        ),
    )
    inputs = noise(graph, n_steps=40, n_samples=2, rate=0.6)
    wanted = ReferenceBackend().run(graph, inputs, states=neurons(graph))
    for name in ("stock.u", "stock.v", "own.u", "own.v", "adaptive.a", "out.u", "out.v"):
        assert wanted.saturations[name] > 0
    assert len(wanted.spikes["alone"]) > 0
    assert_identical(LavaBackend().run(graph, inputs, states=neurons(graph)), wanted)


@lava
def test_the_ends_of_every_range_that_a_graph_may_have():
    """Smallest and largest constants, weights, exponents and long delays: all of them fit Lava, none needs a refusal of its own."""
    low, high = np.array([1, 4095, 1, 4095]), np.array([4095, 1, 1, 4095])
    whole = {"precision": "integer"}
    bias = np.array([-(2**23), 2**23 - 1, 0, 0])
    populations = (
        Input("in", 2),
        LIF.of("stock", 4, decay_v=4095, decay_u=4095, v_th=0, reset="to_value", bias=[4095 << 7, -4096 << 7, 1, -1], **whole),
        LIF.of("lif", 4, decay_v=low, decay_u=high, v_th=[0, 2**17 - 1, 1, 5], bias=bias, n_ref=[0, 1, 2**31, 3], **whole),
        ALIF.of("alif", 4, decay_v=high, decay_u=low, v_th=[2**17 - 1, 0, 2, 0], bias=-bias - 1, decay_a=high, kappa=2**23 - 1, **whole),
        LI.of("out", 4, decay_v=low, decay_u=4095, bias=bias, **whole),
    )
    mixed, single = np.array([[-256, 254, 0, 2], [254, -256, -2, 254]]), np.array([[255, 0, 1, 255], [1, 255, 255, 0]])
    projections = [
        Projection.from_dense("in", target, weights, signs=sign, weight_exp=exponent, delays=delays, name=f"{target}{number}")
        for target, highest in (("stock", 13), ("lif", 16), ("alif", 16), ("out", 16))
        for number, (weights, sign, exponent, delays) in enumerate(
            [
                (mixed, None, highest, 1),
                (mixed, None, -16, 1),
                (single, 1, highest - 1, 1),
                (-single, -1, highest - 1, 300),
                (single, 1, -3, [[1, 29, 30, 5]]),
            ]
        )
    ]
    graph = Graph(DT, populations, tuple(projections))
    inputs = noise(graph, n_steps=40, n_samples=2)
    wanted = ReferenceBackend().run(graph, inputs, states=neurons(graph))
    assert kinds(graph)["population1"] == "SampledLIF"
    assert len(wanted.saturations) > 6
    assert all(len(spikes) > 20 for spikes in wanted.spikes.values())
    assert_identical(LavaBackend().run(graph, inputs, states=neurons(graph)), wanted)


@lava
def test_strict_raises_where_something_saturates():
    graph, spikes = check.two_neurons()
    drive, loop = graph.projections
    strong = graph.replace(projections=(drive, dataclasses.replace(loop, weight_exp=10)))
    with pytest.raises(SaturationError, match=r"lava.*lif\.u"):
        LavaBackend().run(strong, spikes, strict=True)


@lava
def test_unmodified_stock_processes_agree_with_the_reference():
    """Lava's LIF and Sparse as they come, one sample: the reference is their arithmetic, not only that of our own processes."""
    rng = np.random.default_rng(5)
    n, n_in, n_steps = 12, 5, 120
    lif = LIF.of(
        "lif", n, decay_v=3800, decay_u=2500, v_th=700, reset="to_value", bias=rng.integers(-4000, 4000, n) << 2, precision="integer"
    )
    projections = (
        Projection.from_dense("in", "lif", rng.integers(0, 256, (n_in, n)), signs=1, weight_exp=-1),
        Projection.from_dense("lif", "lif", rng.integers(-128, 128, (n, n)) * 2 * (rng.random((n, n)) < 0.4), weight_exp=1),
    )
    graph = Graph(DT, (Input("in", n_in), lif), projections)
    inputs = noise(graph, n_steps, 1)
    netlist = check.as_stock(lower(graph, Kept(("lif",), ())))
    assert {p.kind for p in netlist.processes} == {"FileSource", "Sparse", "LIF", "FileSink"}
    wanted = ReferenceBackend().run(graph, inputs).spikes["lif"].to_dense()[:, 0]
    assert 50 < wanted.sum() < 0.5 * wanted.size
    np.testing.assert_array_equal(check.stock_raster(graph, inputs["in"], launch.interpreter()), wanted)


@pytest.mark.parametrize("precision", ["integer", "float"])
def test_the_reference_agrees_with_the_numbers_worked_by_hand(precision):
    graph, spikes = check.two_neurons(precision)
    found = ReferenceBackend().run(graph, spikes).spikes["lif"]
    assert list(zip(found.step.tolist(), found.neuron.tolist())) == check.HAND_WORKED


@lava
def test_self_test_passes():
    done = CliRunner().invoke(cli.app, ["test", "--json"])
    assert done.exit_code == 0, done.output
    assert [(c["precision"], c["finding"]) for c in json.loads(done.stdout)["checks"]] == [("integer", None), ("float", None)] * 3


@lava
def test_self_test_can_fail(monkeypatch):
    """Numbers worked by hand that are other ones; a recording that differs in a spike, a trace or its last digit."""
    monkeypatch.setattr(check, "HAND_WORKED", [*check.HAND_WORKED[:-1], (15, 1)])
    assert "(14, 1)" in str(check._stock(LavaBackend(), "integer"))
    for precision in ("integer", "float"):
        graph = check.every_process(precision)
        first, second = (ReferenceBackend().run(graph, noise(graph, steps, 2), states=["alif"]) for steps in (30, 31))
        assert check._alike(first, first)
        assert not check._alike(first, second)
        bent = {"out": first.readouts["out"] + (1 if precision == "integer" else 1e-6)}
        assert not check._alike(dataclasses.replace(first, readouts=bent), first)
        assert not check._alike(dataclasses.replace(first, states={"alif": {**first.states["alif"], "a": bent["out"][..., :1]}}), first)


def test_the_self_test_covers_every_kind_of_process():
    graphs = [graph(precision) for precision in ("integer", "float") for graph in (check.every_process, check.plastic_processes)]
    kinds = {p.kind for graph in graphs for p in lower(graph, EVERYTHING).processes}
    stock_kinds = {p.kind for p in check.as_stock(lower(check.two_neurons()[0], EVERYTHING)).processes}
    ours = {file.stem for file in (launch.FOLDER / "procs").glob("*.py")} - {"__init__", "common"}
    snake = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower() for kind in kinds | stock_kinds}
    assert ours <= snake
    assert {"LIF", "Sparse"} <= stock_kinds
    for graph in graphs:
        inputs, third = check.stimuli(np.random.default_rng(1), graph, 30, 2)
        names = [q.name for q in graph.plastic]
        recording = ReferenceBackend().run(graph, inputs, states=names, third_factors=third)
        assert all(len(s) > 20 for s in recording.spikes.values())
        assert all(np.count_nonzero(recording.states[name]["H"]) > 20 for name in names)


# Without Lava


def kinds(graph: Graph, states: tuple[str, ...] = ()) -> dict[str, str]:
    kept = Kept(tuple(p.name for p in graph.neurons if isinstance(p, LIF)), states)
    return {p.name: p.kind for p in lower(graph, kept).processes}


def test_stock_processes_where_they_are_exact():
    """And no process that is not needed: inputs that drive nothing are not played, recording takes none."""
    found = kinds(every_form("integer"), states=("lsnn", "out"))
    by_kind = {kind: sum(k == kind for k in found.values()) for kind in set(found.values())}
    assert by_kind == {"FileSource": 1, "SampledLIF": 1, "AdaptiveLIF": 3, "Readout": 1, "Sparse": 8, "DelayedSparse": 3}


def test_only_what_is_kept_is_recorded():
    graph = every_form("integer")
    records = {
        p.name: set(p.arguments["record"]) for p in lower(graph, Kept(("cuba",), ("ahp", "out"))).processes if "record" in p.arguments
    }
    names = [f"population{[p.name for p in graph.populations].index(name)}" for name in ("stock", "cuba", "lsnn", "ahp", "out")]
    assert records == dict(zip(names, (set(), {"z"}, set(), {"v", "a"}, {"v"})))


def lone(**changes) -> str:
    arguments = {"decay_v": 3000, "decay_u": 100, "v_th": 50, "reset": "to_value", "precision": "integer", **changes}
    return kinds(Graph(DT, (Input("in", 1), LIF.of("lif", 2, **arguments)), ()))["population1"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "SampledLIF"),
        ({"bias": 4095 << 7}, "SampledLIF"),
        ({"bias": [-4096, 12]}, "SampledLIF"),
        ({"bias": 4097}, "AdaptiveLIF"),
        ({"n_ref": [0, 1]}, "AdaptiveLIF"),
        ({"reset": "subtract"}, "AdaptiveLIF"),
        ({"decay_v": [3000, 3001]}, "AdaptiveLIF"),
        ({"decay_u": [99, 100]}, "AdaptiveLIF"),
        ({"v_th": [50, 51]}, "AdaptiveLIF"),
    ],
)
def test_what_lavas_own_lif_cannot_hold_goes_to_ours(changes, kind):
    assert lone(**changes) == kind


def test_sums_beyond_32_bits_leave_lavas_lif_and_then_lava():
    def graph(n: int) -> Graph:
        lif = LIF.of("lif", 1, decay_v=3000, v_th=50, reset="to_value", precision="integer")
        return Graph(DT, (Input("in", n), lif), (Projection.from_dense("in", "lif", np.full((n, 1), 254), weight_exp=16),))

    assert kinds(graph(1))["population1"] == "SampledLIF"
    assert kinds(graph(3))["population1"] == "AdaptiveLIF"
    with pytest.raises(BackendError, match=r"'lif' can sum to 2163998720 in one step; Lava's messages hold 2147483647"):
        kinds(graph(130))


@given(st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=5), st.integers(0, 7))
def test_bias_words_are_exact_or_none(values, exponent):
    bias = np.array(values) >> 11 << exponent
    mantissa, exp = stock.bias_words(bias)  # type: ignore[misc]
    np.testing.assert_array_equal(mantissa << exp, bias)
    assert mantissa.min() >= -4096
    assert mantissa.max() <= 4095
    assert 0 <= exp.min() <= exp.max() <= 7
    arbitrary = np.array(values)
    representable = all(any(b % 2**e == 0 and -4096 <= b // 2**e <= 4095 for e in range(8)) for b in values)
    assert (stock.bias_words(arbitrary) is not None) == representable


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_matrix_for_lava_is_the_transposed_one(n_source, n_target, random):
    sparse = pytest.importorskip("scipy.sparse")
    matrix = np.array([[random.choice([0, 0, 2, -4]) for _ in range(n_target)] for _ in range(n_source)])
    q = Projection.from_dense("a", "b", matrix)
    arrays = stock.transposed(q, q.weights, n_target)
    rebuilt = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(n_target, n_source))
    assert rebuilt.has_sorted_indices
    np.testing.assert_array_equal(rebuilt.toarray(), matrix.T)


def test_it_is_a_backend_and_importing_it_imports_no_lava():
    assert isinstance(LavaBackend(), Backend)
    code = "import sys, neuromorph.backends.lava; print(*{m.split('.')[0] for m in sys.modules} & {'lava', 'scipy', 'networkx', 'torch'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@lava
def test_nothing_to_simulate_is_refused(monkeypatch):
    """Before a process is started."""
    monkeypatch.setattr(network, "Worker", None)
    graph, _ = check.two_neurons()
    empty = Spikes.from_dense(np.zeros((0, 2, 1), dtype=np.bool_), graph.dt)
    with pytest.raises(GraphError, match="nothing to run"):
        LavaBackend().run(graph, empty, states=["lif"])


def test_an_interpreter_that_lacks_lava_or_does_not_run(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -I "$@"\n')
    bare.chmod(0o755)
    reason = LavaBackend(python=str(bare)).available()
    assert reason is not None
    assert "lava.magma" in reason
    assert f"neuromorph lava install --python {bare}" in reason
    assert self_test(str(bare)) == (check.Check("installed", "-", reason),)
    failed = CliRunner().invoke(cli.app, ["test", "--python", str(bare), "--json"])
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["checks"][0]["finding"] == reason
    assert "does not run" in str(LavaBackend(python=str(tmp_path / "nothing")).available())
    graph, spikes = check.two_neurons()
    with pytest.raises(BackendError, match="cannot run here"):
        LavaBackend(python=str(bare)).run(graph, spikes)


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_lava_is_installed_by_pip_or_by_uv(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    pip, no_pip = program(tmp_path / "pip", 'test "$3" = --version'), program(tmp_path / "no_pip", "exit 1")
    needs = ["numpy", "scipy", "networkx", "asteval"]
    assert installation.commands(pip) == (
        [pip, "-m", "pip", "install", *needs],
        [pip, "-m", "pip", "install", "--no-deps", "--ignore-requires-python", "lava-nc==0.10.0"],
    )
    with pytest.raises(BackendError, match="no pip, and no uv is found; install one"):
        installation.commands(no_pip)
    with pytest.raises(BackendError, match="no pip"):
        installation.commands(str(tmp_path / "nothing"))
    uv = program(tmp_path / "uv", "exit 0")
    with_uv = [uv, "pip", "install", "--python", no_pip]
    assert installation.commands(no_pip) == ([*with_uv, *needs], [*with_uv, "--no-deps", "lava-nc==0.10.0"])
    failed = CliRunner().invoke(cli.app, ["install", "--python", pip])
    assert isinstance(failed.exception, BackendError)
    assert "ended with status 1" in str(failed.exception)
    assert f"{pip} -m pip install numpy" in failed.stderr.replace("\n", "")


def test_what_lava_needs_is_what_is_looked_for():
    assert {*installation.NEEDS, "lava.magma"} == set(needs.MODULES)


SHIM = """
import dataclasses, importlib, sys
before = dataclasses.dataclass, dict(vars(dataclasses))
try:
    importlib.import_module("lava.magma.compiler.var_model")
    print("needless")
except ValueError:
    print("needed")
import shim
shim.import_var_model()
from lava.magma.compiler.var_model import ByteEncoder, CoreEncoder
assert CoreEncoder().x == ByteEncoder() and dataclasses.dataclass is before[0]
assert {k: v for k, v in vars(dataclasses).items() if v is not before[1].get(k)} == {}
@dataclasses.dataclass
class Other: x: int = 0
assert Other.__hash__ is None
"""


@pytest.mark.skipif(bool(needs.missing()), reason="this interpreter has no Lava")
def test_the_shim_mends_one_module_and_restores_the_rest():
    done = subprocess.run(
        [sys.executable, "-c", SHIM], env={**os.environ, "PYTHONPATH": str(launch.FOLDER)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "needed\n"


@pytest.mark.skipif(
    "NEUROMORPH_LAVA_PYTHON" not in os.environ or bool(needs.missing()),
    reason="needs $NEUROMORPH_LAVA_PYTHON, and Lava in this interpreter too",
)
@pytest.mark.parametrize("precision", ["integer", "float"])
def test_another_interpreter_gives_the_same(precision):
    """Integers bit for bit; floats but for the order in which another scipy adds up a row of Lava's Sparse."""
    graph = every_form(precision)
    inputs = noise(graph)
    here, there = (
        LavaBackend(python=python).run(graph, inputs, states=neurons(graph)) for python in (sys.executable, launch.interpreter())
    )
    if precision == "integer":
        assert_identical(there, here)
    assert there.spikes == here.spikes
    for name, traces in here.states.items():
        for variable, trace in traces.items():
            np.testing.assert_allclose(there.states[name][variable], trace, rtol=1e-12, atol=1e-15)
