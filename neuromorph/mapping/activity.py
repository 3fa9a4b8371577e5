"""What every core does, from recorded spikes: exactly at every step, and in the mean inference."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.graph.projections import Projection
from neuromorph.hardware import HardwareProfile
from neuromorph.mapping.cut import reach
from neuromorph.mapping.load import CoreLoad
from neuromorph.mapping.partition import Partition
from neuromorph.mapping.traffic import traffic
from neuromorph.reached import active_updates
from neuromorph.shapes import Int64
from neuromorph.spikes import Spikes

CELLS = 2**22
"""Numbers of samples, steps and cores (or neurons of a population) that are held at a time."""


class Activity(NamedTuple):
    """Of some samples: `synops`, synaptic operations by the step at which the spike is sent; `active`, compartment updates at whose step
    a synaptic event arrives, or whose neuron has a bias or a synaptic current.
    """

    synops: Int64[np.ndarray, "samples steps cores"]
    active: Int64[np.ndarray, "samples steps cores"]


def core_activity(graph: Graph, partition: Partition, spikes: Mapping[str, Spikes], profile: HardwareProfile) -> Iterator[Activity]:
    """What every core does at every step, for some samples at a time, in order.

    `spikes`: of every population that emits any, inputs included.
    """
    first = next(iter(spikes.values()))
    tables = [(q.source, _synapses_by_core(q, partition)) for q in graph.projections]
    widest = max(partition.n_cores, *(p.n for p in graph.neurons))
    at_once = max(1, CELLS // max(1, first.n_steps * widest))
    for begin in range(0, first.n_samples, at_once):
        samples = range(begin, min(begin + at_once, first.n_samples))
        yield Activity(_synops(tables, partition, spikes, samples), _active(graph, partition, spikes, profile, samples))


def core_load(graph: Graph, partition: Partition, spikes: Mapping[str, Spikes], profile: HardwareProfile) -> CoreLoad:
    """What every core does in the mean inference of recorded `spikes` of every population that emits any."""
    first, n = next(iter(spikes.values())), partition.n_cores
    synops, active, fired, auxiliary = np.zeros((4, n), np.int64)
    for some in core_activity(graph, partition, spikes, profile):
        synops += some.synops.sum((0, 1))
        active += some.active.sum((0, 1))
    by_neuron = {name: s.counts().sum(0) for name, s in spikes.items()}
    for p in graph.neurons:
        if p.name in by_neuron:
            np.add.at(fired, partition.core_of(p.name), by_neuron[p.name])
            np.add.at(auxiliary, partition.core_of(p.name), by_neuron[p.name] * (profile.compartments_of(p) - 1))
    sent = traffic(graph, partition, by_neuron)
    return CoreLoad(
        graph_digest=partition.graph_digest,
        profile=partition.profile,
        n_samples=first.n_samples,
        synops=synops / first.n_samples,
        auxiliary_synops=auxiliary / first.n_samples,
        updates_active=active / first.n_samples,
        updates=partition.allocated(profile) * float(first.n_steps),
        spikes=fired / first.n_samples,
        messages_out=sent.between.sum(1) / first.n_samples,
        messages_in=(sent.between.sum(0) + sent.entering) / first.n_samples,
    )


def _synops(
    tables: list[tuple[str, Any]], partition: Partition, spikes: Mapping[str, Spikes], samples: range
) -> Int64[np.ndarray, "samples steps cores"]:
    """Spikes times the synapses of their neuron on each core."""
    from scipy.sparse import csr_array

    n_steps = next(iter(spikes.values())).n_steps
    total = np.zeros((len(samples) * n_steps, partition.n_cores), np.int64)
    for source, table in tables:
        s = spikes[source]
        a, b = np.searchsorted(s.sample, np.array((samples.start, samples.stop), np.int32))
        row = (s.sample[a:b].astype(np.int64) - samples.start) * n_steps + s.step[a:b]
        fired: Any = csr_array((np.ones(b - a, np.int64), (row, s.neuron[a:b])), shape=(len(total), s.n_neurons))
        total += (fired @ table).toarray()
    return total.reshape(len(samples), n_steps, partition.n_cores)


def _synapses_by_core(q: Projection, partition: Partition) -> Any:
    """Synapses of each source neuron on each core, sparse [n_source, cores]."""
    from scipy.sparse import coo_array

    axons = list(reach(q, partition.bounds[q.target]))
    row, slices, synapses = (np.concatenate([each[k] for each in axons]) for k in range(3))
    return coo_array((synapses, (row, partition.core[q.target][slices])), shape=(q.n_source, partition.n_cores)).tocsr()


def _active(
    graph: Graph, partition: Partition, spikes: Mapping[str, Spikes], profile: HardwareProfile, samples: range
) -> Int64[np.ndarray, "samples steps cores"]:
    """Active neurons of each slice of a population, each with all its compartments, summed up by core."""
    total = np.zeros((len(samples), next(iter(spikes.values())).n_steps, partition.n_cores), np.int64)
    for p in graph.neurons:
        active = active_updates(graph, p, spikes, samples.start, samples.stop)
        for core, first, last in zip(partition.core[p.name], partition.bounds[p.name][:-1], partition.bounds[p.name][1:]):
            total[..., core] += np.count_nonzero(active[..., first:last], axis=2) * profile.compartments_of(p)
    return total
