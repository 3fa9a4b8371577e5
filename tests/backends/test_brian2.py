"""Brian2 equals `reference` in every bit on each target, in chunks and batches, and leaves the process as it was."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends.brian2 import Brian2Backend, backend, runtime
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import BackendError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.strategies import random_graph, random_inputs

b2 = pytest.importorskip("brian2")
compiler = pytest.mark.skipif(
    not (shutil.which(os.environ.get("CXX", "g++")) and shutil.which("make") and Path(sysconfig.get_path("include"), "Python.h").exists()),
    reason="needs a C++ compiler, make and Python.h",
)


def equal(found: Recording, wanted: Recording) -> None:
    """All that two runs recorded is the same, in floats also where sums round."""
    assert dict(found.spikes) == dict(wanted.spikes)
    assert dict(found.saturations) == dict(wanted.saturations)
    assert found.readouts.keys() == wanted.readouts.keys()
    assert found.states.keys() == wanted.states.keys()
    for name, trace in wanted.readouts.items():
        assert found.readouts[name].dtype == trace.dtype
        np.testing.assert_array_equal(found.readouts[name], trace)
    for name, traces in wanted.states.items():
        assert found.states[name].keys() == traces.keys()
        for x, trace in traces.items():
            np.testing.assert_array_equal(found.states[name][x], trace, err_msg=f"{name}.{x}")


def wanted(graph: Graph, x: Spikes) -> Recording:
    """The reference's run, with all states."""
    recording = ReferenceBackend().run(graph, x, states=[p.name for p in graph.neurons])
    assert sum(map(len, recording.spikes.values())) > 20, "the graph hardly fires"
    return recording


def run(graph: Graph, x: Spikes, *args, **options) -> Recording:
    return Brian2Backend(*args).run(graph, x, states=[p.name for p in graph.neurons], **options)


def rough(rng: np.random.Generator, graph: Graph) -> Graph:
    """The float graph with weights of 53 bits, whose sums depend on their order."""
    return graph.replace(
        projections=tuple(dataclasses.replace(q, weights=q.weights * rng.uniform(0.9, 1.1, q.n_synapses)) for q in graph.projections)
    )


def example(seed: int, precision: str, n_samples: int = 3, n_steps: int = 60) -> tuple[Graph, Spikes]:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, precision=precision, max_neurons=8)
    graph = rough(rng, graph) if precision == "float" else graph
    return graph, random_inputs(rng, graph, n_samples, n_steps)


def one_population(precision: str, seed: int = 5) -> tuple[Graph, Spikes]:
    """Input and one recurrent ALIF of 300 neurons, few parts to compile; integers over their whole allowed ranges.

    Small or saturated, positive and negative states; weights shifted up and down.
    """
    rng = np.random.default_rng(seed)
    n, n_inputs, n_steps, whole = 300, 20, 40, precision == "integer"
    x = Spikes.from_dense(rng.random((n_steps, 2, n_inputs)) < 0.3, 1e-3)
    if whole:
        scale = 2.0 ** rng.uniform(0, 23, n)
        p = ALIF(
            "alif",
            n,
            decay_v=rng.choice([1, 2048, 3500, 4095], n),
            decay_u=rng.choice([0, 1, 2000, 4095], n),
            gain=np.ones(n, dtype=np.int64),
            bias=(rng.uniform(-1, 1, n) * scale).astype(np.int64),
            v_th=np.minimum(2.0 ** rng.uniform(0, 17, n), 2**17 - 1).astype(np.int64),
            v_reset=np.zeros(n, dtype=np.int64),
            n_ref=rng.integers(0, 4, n),
            reset="subtract",
            decay_a=rng.choice([1, 2048, 4095], n),
            kappa=(rng.random(n) * scale).astype(np.int64),
            adaptation="threshold",
        )
    else:
        p = ALIF(
            "alif",
            n,
            **{name: rng.uniform(0.1, 0.95, n) for name in ("decay_v", "decay_u", "gain", "decay_a")},
            **{name: rng.uniform(-0.1, 0.1, n) for name in ("bias", "v_reset")},
            v_th=rng.uniform(0.5, 1.5, n),
            n_ref=rng.integers(0, 4, n),
            reset="subtract",
            kappa=rng.uniform(0, 0.2, n),
            adaptation="current",
        )

    def project(source: str, n_source: int, name: str, exponent: int) -> Projection:
        weights = rng.integers(-128, 127, (n_source, n)) * 2 if whole else rng.normal(0.05, 0.3, (n_source, n))
        weights[rng.random(weights.shape) < 0.8] = 0
        return Projection.from_dense(
            source, "alif", weights, delays=rng.integers(1, 6, weights.shape), name=name, weight_exp=exponent * whole
        )

    return Graph(1e-3, (Input("in", n_inputs), p), (project("in", n_inputs, "in", -3), project("alif", n, "back", 8))), x


@pytest.mark.parametrize("precision", ["float", "integer"])
@pytest.mark.parametrize("seed", range(4))
def test_every_bit(seed, precision):
    graph, x = example(seed, precision)
    equal(run(graph, x), wanted(graph, x))


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_every_bit_of_a_wide_population(precision):
    graph, x = one_population(precision)
    expected = wanted(graph, x)
    if precision == "integer":
        assert expected.saturations.keys() == {"alif.u", "alif.v", "alif.a"}
        v = expected.states["alif"]["v"]
        assert v.min() == -v.max() == 1 - 2**23
        assert (np.abs(v) < 100).any()
    equal(run(graph, x), expected)


def floors(exponent: int) -> tuple[Graph, Spikes]:
    """One spike a step over a weight of -2; v = dec(v) + u, and u = floor(-2 / 2^-exponent) << 6."""
    lif = LIF.of("out", 1, decay_v=1, v_th=1000, precision="integer")
    synapse = Projection.from_dense("in", "out", np.array([[-2]]), weight_exp=exponent)
    return Graph(1e-3, (Input("in", 1), lif), (synapse,)), Spikes.from_dense(np.ones((4, 1, 1), dtype=np.bool_), 1e-3)


@pytest.mark.parametrize(("exponent", "u"), [(-16, -64), (-2, -64), (-1, -64), (0, -128), (3, -1024)])
def test_negative_sums_are_shifted_down_to_the_floor(exponent, u):
    graph, x = floors(exponent)
    assert run(graph, x).states["out"]["v"][:, 0, 0].tolist() == [0, u, u, u]


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_no_chunk_loses_a_spike(precision):
    graph, x = example(6, precision, n_samples=2, n_steps=300)
    assert max(q.max_delay for q in graph.projections) > 3
    assert any(isinstance(p, LIF) and p.n_ref.any() for p in graph.neurons)
    expected = wanted(graph, x)
    for chunk in (299, 77):
        equal(run(graph, x, "numpy", chunk), expected)


def test_monitors_are_emptied_before_they_grow_and_progress_is_told(monkeypatch):
    graph, x = example(1, "float", n_samples=4, n_steps=40)
    a_step = 12 * 4 * sum(p.n for p in graph.neurons if isinstance(p, LIF))
    a_step += 8 * 4 * sum(p.n * (2 if isinstance(p, ALIF) else 1) for p in graph.neurons)
    monkeypatch.setattr(runtime, "CHUNK_BYTES", 10 * (a_step + 1))
    calls: list[tuple[int, int]] = []
    equal(run(graph, x, progress=lambda done, of: calls.append((done, of))), wanted(graph, x))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_batches_of_samples(monkeypatch):
    monkeypatch.setattr(backend, "REPLICA_SAMPLES", 3)
    graph, x = example(3, "integer", n_samples=7)
    calls: list[tuple[int, int]] = []
    equal(run(graph, x, progress=lambda done, of: calls.append((done, of))), wanted(graph, x))
    assert calls == [(3, 7), (6, 7), (7, 7)]


@pytest.mark.parametrize("dt", [1e-4, 2.3e-4])
def test_steps_of_long_runs_are_exact(dt):
    """A relay: memoryless neurons that fire three steps after each input spike."""
    rng = np.random.default_rng(0)
    dense = rng.random((20_000, 1, 3)) < 0.3
    dense[:, 0, 0] = True
    relay = LIF.of("relay", 3, decay_v=0.0, v_th=1.0)
    graph = Graph(dt, (Input("in", 3), relay), (Projection.from_dense("in", "relay", 3 * np.eye(3), delays=3),))
    found = Brian2Backend(chunk=9_999).run(graph, Spikes.from_dense(dense, dt)).spikes["relay"]
    late = np.zeros_like(dense)
    late[3:] = dense[:-3]
    assert found == Spikes.from_dense(late, dt)


def test_only_what_is_asked_for_is_recorded():
    graph, x = example(4, "float")
    hidden = [p.name for p in graph.neurons if isinstance(p, LIF)]
    assert len(hidden) == 2
    whole = wanted(graph, x)
    part = Brian2Backend().run(graph, x, spikes=hidden[1:], states=hidden[:1])
    assert list(part.spikes) == hidden[1:]
    assert list(part.states) == hidden[:1]
    assert part.spikes[hidden[1]] == whole.spikes[hidden[1]]
    np.testing.assert_array_equal(part.states[hidden[0]]["v"], whole.states[hidden[0]]["v"])
    np.testing.assert_array_equal(part.readouts["out"], whole.readouts["out"])
    none = Brian2Backend().run(graph, x, spikes=())
    assert (none.spikes, none.states) == ({}, {})
    np.testing.assert_array_equal(none.readouts["out"], whole.readouts["out"])


def test_silence_and_no_synapses():
    graph = Graph(1e-3, (Input("in", 2), LI.of("out", 1, decay_v=0.5, bias=1.0)), (Projection.from_dense("in", "out", np.zeros((2, 1))),))
    found = Brian2Backend().run(graph, Spikes.from_dense(np.zeros((3, 2, 2), dtype=np.bool_), 1e-3))
    assert found.readouts["out"][:, 1, 0].tolist() == [1.0, 1.5, 1.75]


# Brian2's state, which is the process's


def world() -> dict[str, object]:
    devices = sys.modules["brian2.devices.device"]
    return {
        "preferences": {key: repr(value) for key, value in b2.prefs.items()},
        "device": (id(devices.active_device), list(map(id, devices.all_devices.values())), len(devices.previous_devices)),
        "clock": (id(b2.get_device().defaultclock), float(b2.defaultclock.dt), repr(b2.defaultclock.t)),
        "log": (b2.BrianLogger.console_handler.level, b2.BrianLogger.exception_occured),
        "random": [str(part) for part in np.random.get_state()],  # noqa: NPY002
        "process": (dict(os.environ), os.getcwd(), list(sys.path), signal.getsignal(signal.SIGINT), sys.excepthook),
        "warnings": (warnings.showwarning, list(warnings.filters)),
        "numpy": (np.geterr(), np.get_printoptions()),
    }


@pytest.fixture
def untouched(monkeypatch):
    """Calls a function that may fail; the world must be the same after it, with preferences that no run of ours could do with."""
    strange = {"codegen.target": "cython", "core.network.default_schedule": ["start", "synapses", "groups", "thresholds", "end"]}
    strange |= {"core.default_float_dtype": np.float32, "codegen.cpp.extra_compile_args_gcc": ["-O3", "-ffast-math"]}
    for key, value in strange.items():
        monkeypatch.setitem(b2.prefs, key, value)

    def check(call: Callable[[], object]) -> None:
        before = world()
        with suppress(ZeroDivisionError, BackendError):
            call()
        assert world() == before

    b2.defaultclock.dt = 0.3 * b2.ms
    yield check
    b2.defaultclock.dt = 0.1 * b2.ms


def broken(*_: object) -> None:
    raise ZeroDivisionError


def test_nothing_global_stays_changed(untouched):
    graph, x = example(0, "float")
    untouched(lambda: equal(run(graph, x), wanted(graph, x)))


def test_nothing_global_stays_changed_by_an_error_inside_a_run(untouched):
    graph, x = example(0, "float")
    with pytest.raises(ZeroDivisionError):
        run(graph, x, progress=broken)
    untouched(lambda: run(graph, x, progress=broken))


@compiler
def test_a_failing_compiler(untouched, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("CXX", "false")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(BackendError, match=r"compilation failed.*target='numpy' needs no compiler"):
        run(*floors(0), "cpp_standalone")
    untouched(lambda: run(*floors(0), "cpp_standalone"))
    assert list(tmp_path.glob("neuromorph*")) == []


def test_a_model_of_the_users_own_goes_on(monkeypatch):
    """A network stopped half-way, and a standalone model that is not built yet."""
    monkeypatch.setitem(b2.prefs, "codegen.target", "numpy")

    def model():
        group = b2.NeuronGroup(3, "v : 1", threshold="v > 1", reset="v = 0")
        group.run_regularly("v += 0.03*(i + 1)")
        monitor = b2.SpikeMonitor(group)
        return group, monitor, b2.Network(group, monitor)

    _, expected, network = model()
    network.run(20 * b2.ms)
    _, found, network = model()
    network.run(11 * b2.ms)
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        waiting = model()
        queue = list(b2.get_device().main_queue)
        run(*example(0, "integer"))
        assert b2.get_device() is b2.all_devices["cpp_standalone"]
        assert list(b2.get_device().main_queue) == queue
        assert len(waiting[0]) == 3
    finally:
        b2.get_device().reinit()
        sys.modules["brian2.devices.device"].reset_device()
    network.run(9 * b2.ms)
    np.testing.assert_array_equal(found.t_, expected.t_)


@pytest.mark.parametrize("thread", [False, True])
def test_the_first_import_leaves_the_process_alone(thread):
    code = f"""
import signal, sys, threading, warnings
from neuromorph.backends.brian2 import Brian2Backend
from neuromorph.graph import LI, Graph, Input, Projection
from neuromorph.spikes import Spikes
import numpy as np
before = signal.getsignal(signal.SIGINT), signal.signal, sys.excepthook, warnings.showwarning
graph = Graph(1e-3, (Input("in", 1), LI.of("out", 1, decay_v=0.5)), (Projection.from_dense("in", "out", np.ones((1, 1))),))
def call():
    print(Brian2Backend().run(graph, Spikes.from_dense(np.ones((3, 1, 1)), 1e-3)).readouts["out"].ravel().tolist())
assert "brian2" not in sys.modules
if {thread}:
    worker = threading.Thread(target=call); worker.start(); worker.join()
else:
    call()
assert "brian2" in sys.modules
assert (signal.getsignal(signal.SIGINT), signal.signal, sys.excepthook, warnings.showwarning) == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0.0, 0.5, 0.75]\n"


def test_an_interrupt_is_an_interrupt(monkeypatch):
    """Brian2's own handler would end the run early, and the recording would look complete."""
    graph, x = example(0, "float")
    before, advance = signal.signal(signal.SIGINT, b2._InterruptHandler(signal.default_int_handler)), b2.Clock.advance

    def interrupted(clock):
        advance(clock)
        if clock.variables["timestep"].get_value().item() == 30:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(b2.Clock, "advance", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(graph, x)
    finally:
        signal.signal(signal.SIGINT, before)


# Compiled targets


@compiler
def test_cython(untouched, tmp_path):
    """Integers alone: a precision takes up to a minute of compiling, and the next test compiles floats."""
    folder = tmp_path / "cython"
    graph, x = one_population("integer")
    expected = wanted(graph, x)
    untouched(lambda: equal(run(graph, x, "cython", 17, folder), expected))
    assert list(folder.glob("*.so"))
    untouched(lambda: run(graph, x, "cython", None, folder, progress=broken))


@compiler
@pytest.mark.parametrize("precision", ["float", "integer"])
def test_cpp_standalone(precision, untouched, monkeypatch, tmp_path):
    """Two batches with one program, which serves an equal network again."""
    monkeypatch.setattr(backend, "REPLICA_SAMPLES", 1)
    graph, x = one_population(precision)
    expected = wanted(graph, x)
    untouched(lambda: equal(run(graph, x, "cpp_standalone", None, tmp_path), expected))
    built = (tmp_path / "main").stat().st_mtime_ns
    other = x.select([1])
    equal(run(graph, other, "cpp_standalone", None, tmp_path), wanted(graph, other))
    assert (tmp_path / "main").stat().st_mtime_ns == built


# Choices that cannot be


def test_choices():
    with pytest.raises(BackendError, match="target 'weave' is unknown; there are numpy, cython, cpp_standalone"):
        Brian2Backend("weave")
    with pytest.raises(BackendError, match="chunk is 0; give 1 step or more"):
        Brian2Backend(chunk=0)
    with pytest.raises(BackendError, match="leave chunk out"):
        Brian2Backend("cpp_standalone", chunk=10)


@pytest.mark.skipif(os.name != "posix", reason="looks for Unix compilers")
@pytest.mark.parametrize("target", ["cython", "cpp_standalone"])
def test_a_missing_compiler_is_named(target, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=rf"target '{target}' needs .*; install a C\+\+ compiler and make, or use target='numpy'"):
        run(*floors(0), target)
    assert Brian2Backend().available() is None
