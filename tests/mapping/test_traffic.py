"""Messages counted spike by spike; hops by walking from router to router."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.graph import Input
from neuromorph.hardware import load_profile
from neuromorph.mapping import Mesh, partition, traffic
from tests.mapping.test_partition import small
from tests.strategies import random_graph, random_inputs


@pytest.mark.parametrize("seed", range(4))
def test_messages_of_recorded_spikes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, max_neurons=40)
    inputs = random_inputs(rng, graph, 2, 30)
    spikes = {graph.inputs[0].name: inputs, **ReferenceBackend().run(graph, inputs).spikes}
    found = partition(graph, small(compartments=16))
    assert found.n_cores > 2
    between, entering = np.zeros((found.n_cores, found.n_cores)), np.zeros(found.n_cores)
    for q in graph.projections:
        core_of = found.core_of(q.target)
        slices = np.repeat(np.arange(len(found.core[q.target])), np.diff(found.bounds[q.target]))
        for i in spikes[q.source].neuron:
            chosen = slice(q.indptr[i], q.indptr[i + 1])
            targets = q.indices[chosen][q.weights[chosen] != 0]
            for k in set(slices[targets].tolist()):
                core = core_of[slices == k][0]
                if isinstance(graph.population(q.source), Input):
                    entering[core] += 1
                else:
                    between[found.core_of(q.source)[i], core] += 1
    counted = traffic(graph, found, {name: s.counts().sum(0) for name, s in spikes.items()})
    assert np.array_equal(counted.between, between)
    assert np.array_equal(counted.entering, entering)


def walk(mesh: Mesh, a: int, b: int) -> tuple[int, int]:
    """Hops from core a to core b, along the row first."""
    (x, y, _), (to_x, to_y, _) = mesh.position(np.array([a])), mesh.position(np.array([b]))
    here, there, hops = [int(x[0]), int(y[0])], [int(to_x[0]), int(to_y[0])], [0, 0]
    for axis in (0, 1):
        while here[axis] != there[axis]:
            here[axis] += 1 if there[axis] > here[axis] else -1
            hops[axis] += 1
    return hops[0], hops[1]


@settings(max_examples=50)
@given(st.integers(1, 5), st.integers(0, 639), st.integers(0, 639))
def test_hops(chips: int, a: int, b: int) -> None:
    mesh = Mesh(8, 4, 4, chips)
    a, b = a % mesh.n_cores, b % mesh.n_cores
    ew, ns = mesh.hops(np.array([a]), np.array([b]))
    assert (int(ew[0]), int(ns[0])) == walk(mesh, a, b)
    same_chip = a // 128 == b // 128
    assert bool(mesh.crossings(np.array([a]), np.array([b]))[0]) != same_chip


def test_tiles_of_a_chip() -> None:
    """128 cores lie on 32 tiles of 4, 8 a row; the 129th needs a second chip."""
    profile = load_profile("loihi1")
    mesh = Mesh.of(profile, 128)
    x, y, chip = mesh.position(np.arange(128))
    assert mesh.chips == 1
    assert (x.max(), y.max(), chip.max()) == (7, 3, 0)
    assert np.unique(y * 8 + x, return_counts=True)[1].tolist() == [4] * 32
    assert Mesh.of(profile, 129).chips == 2
