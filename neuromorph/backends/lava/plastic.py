"""A plastic projection as a Lava process: its constants and its wires, for our own exact process or Lava's learning engine."""

import dataclasses
from typing import Any, TypeAlias

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.lava.filenames import place, saturation_file, signal_file, signal_place, synapses_place, trace_file
from neuromorph.backends.lava.learning_rule import compile_rule
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import NUMBERS, Plasticity
from neuromorph.graph.projections import Projection

Wires: TypeAlias = list[tuple[str, str, str, str]]


def arguments(graph: Graph, q: Projection, rule: Plasticity, kept: Kept) -> dict[str, Any]:
    """Plain arguments of `procs.plastic_sparse.PlasticSparse`. `signal`: file of the third factor, where it is given as data."""
    fixed = rule.fixed
    shift = fixed.third_shift if fixed and rule.third_factor not in graph.third_factors else 0
    return {
        **_common(graph, q, rule, kept),
        "weight_exp": q.weight_exp,
        "rule": {"rule": rule.rule, **{x: getattr(rule, x) for x in NUMBERS}},
        "fixed": None if fixed is None else {**dataclasses.asdict(fixed), "third_shift": shift},
    }


def engine_arguments(graph: Graph, q: Projection, rule: Plasticity, kept: Kept) -> dict[str, Any]:
    """Plain arguments of `procs_stock.sampled_learning_dense.SampledLearningDense`.

    Raises:
        BackendError: Loihi's learning engine cannot express the rule.
    """
    made = dataclasses.asdict(compile_rule(graph, q))
    seed = rule.fixed.seed if rule.fixed else 0
    return {**_common(graph, q, rule, kept), "weight_exp": made.pop("weight_exp"), "rule": {**made, "seed": seed}}


def _common(graph: Graph, q: Projection, rule: Plasticity, kept: Kept) -> dict[str, Any]:
    name, source, signals = synapses_place(graph, q.name), rule.third_factor, graph.third_factors
    by_readout = bool(source) and source not in signals
    number = "float64" if rule.fixed is None else "int64"
    return {
        "n": q.n_synapses,
        "n_source": q.n_source,
        "n_target": graph.population(q.target).n,
        "n_third": graph.population(source).n if by_readout else signals.get(source, 1),
        "signal": signal_file(graph, source) if source in signals else "",
        "record": {x: [trace_file(name, x), number] for x in ("H", "E") if q.name in kept.plastic},
        "saturations": saturation_file(name),
    }


def arrays(q: Projection, rule: Plasticity) -> dict[str, np.ndarray]:
    """Both ends, weight and alpha of every synapse."""
    return {"rows": q.rows, "indices": q.indices, "weights": q.weights, "alpha": rule.alpha}


def wires(graph: Graph, q: Projection, rule: Plasticity) -> Wires:
    """What a plastic projection receives beside the spikes of its source: those of its target, and the third factor."""
    name, source = synapses_place(graph, q.name), rule.third_factor
    back = (place(graph, q.target), "s_out", name, "s_in_bap")
    if not source:
        return [back]
    if source in graph.third_factors:
        return [back, (signal_place(graph, source), "m_out", name, "third_in")]
    return [back, (place(graph, source), "v_out", name, "third_in")]
