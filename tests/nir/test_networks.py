"""Whole networks: every simulator computes what the equations of the NIR graph say, step by step, once its latency is taken off."""

from pathlib import Path

import nir
import numpy as np
import pytest

import neuromorph as nm
from neuromorph.graph import LI
from neuromorph.nir import Stepping, load_nir
from tests.nir import files
from tests.nir.oracle import simulate

DT, STEPS = 1e-3, 120


def shown(path: Path, rate: float = 0.15, samples: int = 2, seed: int = 1) -> np.ndarray:
    (source,) = (node for node in nir.read(path, type_check=False).nodes.values() if isinstance(node, nir.Input))
    return np.random.default_rng(seed).random((STEPS, samples, int(np.prod(source.input_type["input"])))) < rate


@pytest.mark.parametrize("name", files.NETWORKS)
def test_the_graph_does_what_the_equations_say(name: str, tmp_path: Path) -> None:
    path = files.written(name, tmp_path)
    found = load_nir(path, Stepping(DT)).graph
    x = shown(path)
    recording = nm.backend("reference").run(found, nm.Spikes.from_dense(x, DT))
    original, fired = nir.read(path, type_check=False), 0
    for sample in range(x.shape[1]):
        wanted = simulate(original, x[:, sample], DT)
        for population in found.neurons:
            node = found.metadata.get(f"nir.node.{population.name}", population.name)
            late = int(found.metadata.get(f"latency.{population.name}", "0"))
            if population.name == "always":
                continue
            trace = wanted[node].reshape(STEPS, -1)[: STEPS - late]
            if isinstance(population, LI):
                assert np.allclose(recording.readouts[population.name][late:, sample], trace, atol=1e-9)
                continue
            z = recording.spikes[population.name].to_dense()[late:, sample]
            assert np.array_equal(z, trace > 0), f"{population.name}: first at {np.argwhere(z != (trace > 0))[:1]}"
            fired += int(z.sum())
    assert fired > 100


@pytest.mark.parametrize("name", files.NETWORKS)
def test_simulators_agree(name: str, tmp_path: Path) -> None:
    path = files.written(name, tmp_path)
    found = load_nir(path, Stepping(DT)).graph
    spikes = nm.Spikes.from_dense(shown(path, samples=1)[:40], DT)
    assert nm.validate(found, spikes, ["reference", "fast", "brian2", "lava"]).agrees


@pytest.mark.parametrize("spikes", ["usual", "current", "charge"])
def test_what_a_spike_means(spikes: str, tmp_path: Path) -> None:
    """An integrator and leaky neurons, whose thresholds are scaled so that they fire in each case."""
    small = {"usual": (1.0, 1.0), "current": (DT, 1.0), "charge": (1.0, 1 / DT)}[spikes]
    rng = np.random.default_rng(0)
    nodes = files.ends(6, 4) | {"l1": nir.Linear(files.weights(rng, 5, 6)), "l2": nir.Linear(files.weights(rng, 4, 5))}
    nodes |= {"a": nir.IF(np.ones(5), np.full(5, 1.3 * small[0])), "b": files.cuba(4, v_threshold=0.1 * small[1])}
    nir.write(path := tmp_path / "net.nir", files.graph(nodes, "input l1 a l2 b output"))
    found = load_nir(path, Stepping(DT, spikes=spikes)).graph  # pyright: ignore[reportArgumentType]
    x = shown(path, samples=1)
    recording = nm.backend("reference").run(found, nm.Spikes.from_dense(x, DT))
    wanted = simulate(nir.read(path), x[:, 0], DT, spikes)
    for name, late in (("a", 1), ("b", 2)):
        z = recording.spikes[name].to_dense()[late:, 0]
        assert np.array_equal(z, wanted[name][:-late] > 0)
        assert z.sum() > 20


def test_a_loop_of_two_populations_without_delays_takes_a_step_each(tmp_path: Path) -> None:
    """What NIR leaves open is told; a loop with delays is exact (see the network 'delayed')."""
    rng = np.random.default_rng(0)
    nodes = files.ends(4, 3) | {"l": nir.Linear(files.weights(rng, 3, 4)), "a": files.lif(3), "b": files.lif(3)}
    nodes |= {name: nir.Linear(files.weights(rng, 3, 3)) for name in ("ab", "ba")}
    nir.write(path := tmp_path / "loop.nir", files.graph(nodes, "input l a ab b output", "b ba a"))
    found = load_nir(path, Stepping(DT))
    assert any("loop of a, b" in told for told in found.assumptions)
    assert {q.name: set(q.delays.tolist()) for q in found.graph.projections} == {"input->a": {1}, "b->a": {1}, "a->b": {1}}
