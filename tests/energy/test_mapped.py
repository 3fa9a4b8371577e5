"""What must hold of the energy and time of any mapped graph."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.energy import EnergyReport, estimate
from neuromorph.energy.latency import latency
from neuromorph.graph import Graph
from neuromorph.hardware import load_profile
from neuromorph.mapping import ChipMap, load_of, map_to_chip
from neuromorph.spikes import Spikes
from tests.mapping.test_partition import small
from tests.strategies import random_graph, random_inputs

ENDS = ("lo", "nominal", "hi")
FORMS = {"resets": ("to_value",), "adaptations": ("current",)}


def chip(name: str, compartments: int):
    """Loihi 1 or 2 with cores for few neurons."""
    return (
        small(compartments=compartments)
        if name == "loihi1"
        else replace(load_profile(name), limits={**load_profile(name).limits, "compartments_per_core": compartments})
    )


def told(graph: Graph, found: ChipMap, profile, inputs: Spikes, recording, step_seconds: float) -> EnergyReport:
    """The estimate of a mapped graph from any spikes."""
    spikes = {graph.inputs[0].name: inputs, **recording.spikes}
    mean = {name: s.counts().mean(0) for name, s in spikes.items()}
    timed = latency(graph, found, spikes, profile, step_seconds=step_seconds)
    return estimate(count(graph, inputs, recording), graph, profile, load=load_of(graph, found, mean, profile), latency=timed)


def with_more(s: Spikes, rng: np.random.Generator, share: float) -> Spikes:
    """The same spikes and others."""
    dense = s.to_dense()
    return Spikes.from_dense(dense | (rng.random(dense.shape) < share), s.dt)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["loihi1", "loihi2"]), st.integers(4, 40), st.sampled_from([0.0, 1e-6, 1e-3]))
def test_more_spikes_never_cost_less_and_silence_is_not_free(seed: int, name: str, compartments: int, step_seconds: float) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, precision="integer", max_neurons=20, **FORMS)
    profile = chip(name, compartments)
    inputs = random_inputs(rng, graph, 2, 15)
    recording = ReferenceBackend().run(graph, inputs)
    found = map_to_chip(graph, profile, starts=1)[0]
    empty = with_more(Spikes.from_dense(np.zeros_like(inputs.to_dense()), graph.dt), rng, 0.0)
    silent = replace(
        recording,
        spikes={n: Spikes.from_dense(np.zeros_like(s.to_dense()), s.dt) for n, s in recording.spikes.items()},
    )
    more = replace(recording, spikes={n: with_more(s, rng, 0.1) for n, s in recording.spikes.items()})
    reports = [
        told(graph, found, profile, *run, step_seconds)
        for run in ((empty, silent), (inputs, recording), (with_more(inputs, rng, 0.1), more))
    ]
    for scope in ("dynamic", "static"):
        assert reports[0].scopes[scope].lo > 0, "a silent network is updated, and its cores are on"
    for less, greater in pairwise(reports):
        for end in ENDS:
            assert getattr(less.total, end) <= getattr(greater.total, end) * (1 + 1e-12)
            assert getattr(less.latency.total, end) <= getattr(greater.latency.total, end) * (1 + 1e-12)
            assert getattr(less.seconds, end) <= getattr(greater.seconds, end) * (1 + 1e-12)
    for report in reports:
        assert report.seconds.lo >= 15 * step_seconds
        assert report.total.nominal == pytest.approx(sum(t.nominal for t in report.terms))
