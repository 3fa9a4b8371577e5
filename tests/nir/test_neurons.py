"""Each kind of neuron against its differential equation, integrated by scipy between the spikes of its input."""

from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import neuromorph as nm
from neuromorph.errors import FormatError
from neuromorph.graph import LI
from neuromorph.nir import Imported, Stepping, load_nir
from tests.nir import files

DT, STEPS = 1e-4, 1500
full = np.full


def one(node: nir.NIRNode, weight: float, folder: Path, stepping: Stepping) -> Imported:
    nodes = files.ends(1, 1) | {"w": nir.Linear(np.array([[weight]])), "n": node}
    nir.write(path := folder / "one.nir", files.graph(nodes, "input w n output"))
    return load_nir(path, stepping)


NEURONS: dict[str, tuple[nir.NIRNode, float, Callable[[float, np.ndarray, float], list[float]]]] = {
    "I": (nir.I(full(1, 2.0)), 30.0, lambda t, y, x: [2.0 * x]),
    "IF": (nir.IF(full(1, 2.0), full(1, 0.5), full(1, 0.1)), 90.0, lambda t, y, x: [2.0 * x]),
    "LI": (nir.LI(full(1, 0.02), full(1, 2.0), full(1, 0.0)), 3.0, lambda t, y, x: [(-y[0] + 2.0 * x) / 0.02]),
    "LIF": (
        nir.LIF(full(1, 0.02), full(1, 2.0), full(1, 0.1), full(1, 0.5), full(1, -0.1)),
        3.0,
        lambda t, y, x: [(0.1 - y[0] + 2.0 * x) / 0.02],
    ),
    "CubaLI": (
        nir.CubaLI(full(1, 0.005), full(1, 0.02), full(1, 2.0), full(1, 0.0), full(1, 3.0)),
        1.0,
        lambda t, y, x: [(-y[0] + 2.0 * y[1]) / 0.02, (-y[1] + 3.0 * x) / 0.005],
    ),
    "CubaLIF": (
        nir.CubaLIF(full(1, 0.005), full(1, 0.02), full(1, 2.0), full(1, 0.05), full(1, 0.5), full(1, 0.0), full(1, 3.0)),
        1.2,
        lambda t, y, x: [(0.05 - y[0] + 2.0 * y[1]) / 0.02, (-y[1] + 3.0 * x) / 0.005],
    ),
}


def integrated(node: nir.NIRNode, equation: Callable, weight: float, x: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Potential at the end of every step, and times of spikes: a spike of the input is a current for one step."""
    y = np.array([float(np.ravel(getattr(node, "v_leak", np.zeros(1)))[0]), 0.0])[: len(equation(0, np.zeros(2), 0.0))]
    threshold = float(node.v_threshold[0]) if hasattr(node, "v_threshold") else np.inf
    crossing = lambda t, y, current: y[0] - threshold  # noqa: E731
    crossing.terminal, crossing.direction = True, 1  # pyright: ignore[reportFunctionMemberAccess]
    trace, fired = [], []
    for step, spike in enumerate(x):
        start, end = step * DT, (step + 1) * DT
        while start < end:
            found = solve_ivp(equation, (start, end), y, args=(weight * spike,), events=crossing, rtol=1e-9, atol=1e-12)
            y, start = found.y[:, -1].copy(), found.t[-1]
            if found.status == 1:
                fired.append(start)
                y[0] = node.v_reset[0]
        trace.append(y[0])
    return np.array(trace), fired


@pytest.mark.parametrize("name", NEURONS)
def test_by_its_equation(name: str, tmp_path: Path) -> None:
    """Steps of 0.1 ms, exact between them: analog potentials to rounding (their second stage to a step), spikes to
    the step that each reset may add."""
    node, weight, equation = NEURONS[name]
    found = one(node, weight, tmp_path, Stepping(DT, "exact", "current")).graph
    x = np.random.default_rng(0).random(STEPS) < 0.3
    trace, fired = integrated(node, equation, weight, x)
    recording = nm.backend("reference").run(found, nm.Spikes.from_dense(x[:, None, None], DT))
    if isinstance(found.population("n"), LI):
        y = recording.readouts["n"][1:, 0, 0]
        assert np.abs(y - trace[:-1]).max() < (2e-2 * np.abs(trace).max() if name == "CubaLI" else 1e-6)
        return
    steps = recording.spikes["n"].step - 1
    assert len(fired) > 15
    assert abs(len(steps) - len(fired)) <= 0.03 * len(fired) + 1
    first = min(10, len(steps), len(fired))
    apart = np.abs(steps[:first] - np.array(fired[:first]) / DT)
    lost = 1 / 0.3 if name == "IF" else 0.6
    assert (apart < 1.5 + lost * np.arange(first)).all(), (
        "each reset waits for its step's end; an integrator makes it up with the next input"
    )


def test_threshold_by_its_definition(tmp_path: Path) -> None:
    """1 where what arrives is above it, strictly; nothing is remembered."""
    nodes = files.ends(2, 1) | {"w": nir.Linear(np.array([[1.0, 0.5]])), "n": nir.Threshold(full(1, 1.0))}
    nir.write(path := tmp_path / "threshold.nir", files.graph(nodes, "input w n output"))
    x = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [1, 1], [0, 0]], dtype=bool)[:, None]
    spikes = nm.backend("reference").run(load_nir(path, Stepping(DT)).graph, nm.Spikes.from_dense(x, DT)).spikes["n"]
    assert spikes.step.tolist() == [4, 5]


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (files.lif(1, tau=-1.0), "has tau -1 s; time constants are positive, in seconds"),
        (files.lif(1, tau=5e-5), "has tau 5e-05 s below dt 0.0001 s, which Euler's rule cannot follow"),
        (files.lif(1, v_leak=1.0), "has a threshold below its rest, and fires before any input; raise it"),
        (nir.LI(full(1, 0.02), full(1, 1.0), full(1, 0.5)), "is a readout with v_leak 0.5; a graph's starts at 0"),
        (nir.Threshold(full(1, -0.5)), "has a threshold below its rest"),
    ],
)
def test_refusals_name_the_node(node: nir.NIRNode, says: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError) as told:
        one(node, 1.0, tmp_path, Stepping(DT))
    assert "NIR node 'n'" in str(told.value)
    assert says in str(told.value)
