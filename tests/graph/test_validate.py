"""Each rule of a graph, broken once: the message names the object, the value and the remedy."""

from collections.abc import Callable

import numpy as np
import pytest

from neuromorph.errors import GraphError
from neuromorph.graph import ALIF, LI, Graph, Input, Projection
from neuromorph.graph.populations import LIF


def sound(precision: str = "float") -> Graph:
    """in(2) -> hidden(3, ALIF, recurrent) -> out(2)."""
    whole = precision == "integer"
    constants = (
        {"decay_v": 3000, "v_th": 100, "decay_a": 4000, "kappa": 10}
        if whole
        else {"decay_v": 0.9, "v_th": 1.0, "decay_a": 0.99, "kappa": 0.1}
    )
    hidden = ALIF.of("hidden", 3, **constants, n_ref=2, precision=precision)
    out = LI.of("out", 2, decay_v=3000 if whole else 0.9, precision=precision)
    one = 2 if whole else 0.5
    return Graph(
        1e-3,
        (Input("in", 2), hidden, out),
        (
            Projection.from_dense("in", "hidden", np.full((2, 3), one), delays=2),
            Projection.from_dense("hidden", "hidden", one * (1 - np.eye(3, dtype=np.int64)), signs=1),
            Projection.from_dense("hidden", "out", np.full((3, 2), one)),
        ),
    )


def put(which: str, field: str, value: object, at: int | None = None) -> Callable[[Graph], None]:
    """Overwrite a field (or one entry of its array) of the named population or projection, past its constructor."""

    def change(graph: Graph) -> None:
        target = next(x for x in (*graph.populations, *graph.projections) if x.name == which)
        new = value
        if at is not None:
            new = getattr(target, field).copy()
            new[at] = value
        object.__setattr__(target, field, new)

    return change


ANY = [
    (put("hidden", "name", "a b"), "Population 'a b': a name has 1-128 of the characters"),
    (put("hidden", "name", "x" * 129), "a name has 1-128"),
    (put("hidden", "name", "in"), "Population 'in' occurs twice; names must be unique"),
    (put("in->hidden", "name", "hidden->out"), "Projection 'hidden->out' occurs twice"),
    (put("in", "n", 0), "Population 'in': n is 0; it must be 1..2147483647"),
    (put("in", "n", 2**31), "Population 'in': n is 2147483648"),
    (put("hidden", "n", 4), "Population 'hidden': decay_v has shape (3,); give one value a neuron, (4,)"),
    (put("hidden", "n_ref", np.zeros(3)), "Population 'hidden': n_ref is float64"),
    (put("hidden", "reset", "hard"), "Population 'hidden': reset is 'hard'; allowed: subtract, to_value"),
    (put("hidden", "adaptation", "both"), "Population 'hidden': adaptation is 'both'; allowed: threshold, current"),
    (put("hidden", "n_ref", -1, at=1), "Population 'hidden': n_ref has -1; refractory steps are 0 or more"),
    (put("in->hidden", "source", "nobody"), "Projection 'in->hidden': source 'nobody' is no population; there are in, hidden, out"),
    (put("in->hidden", "target", "nobody"), "Projection 'in->hidden': target 'nobody' is no population"),
    (put("in->hidden", "source", "out"), "Projection 'in->hidden': source 'out' is a readout (LI), which never spikes"),
    (put("in->hidden", "target", "in"), "Projection 'in->hidden': target 'in' is an Input, whose spikes are data"),
    (put("in->hidden", "indptr", np.array([0, 6])), "Projection 'in->hidden': indptr has shape (2,); 'in' has 2 neurons, give (3,)"),
    (put("in->hidden", "indptr", 1, at=0), "Projection 'in->hidden': indptr must start at 0, never fall and end at 6"),
    (put("in->hidden", "indptr", 5, at=2), "indptr must start at 0, never fall and end at 6"),
    (put("in->hidden", "indptr", 7, at=1), "indptr must start at 0, never fall and end at 6"),
    (
        put("in->hidden", "delays", np.ones(5, np.int64)),
        "Projection 'in->hidden': indices (6,), weights (6,) and delays (5,) must have one shape",
    ),
    (put("in->hidden", "indices", 3, at=2), "Projection 'in->hidden': indices reach 3 (lowest 0); 'hidden' has neurons 0..2"),
    (put("in->hidden", "indices", -1, at=0), "indices reach 2 (lowest -1)"),
    (put("in->hidden", "indices", 1, at=0), "the targets of one source must ascend without repeats; sort each row and merge duplicates"),
    (put("in->hidden", "indices", 2, at=0), "the targets of one source must ascend"),
    (put("in->hidden", "indices", np.zeros(6)), "Projection 'in->hidden': indices is float64; give int64"),
    (put("in->hidden", "delays", np.ones(6)), "Projection 'in->hidden': delays is float64; give int64"),
    (put("in->hidden", "delays", 0, at=3), "Projection 'in->hidden': delay 0; allowed: 1..65535 steps"),
    (put("in->hidden", "delays", 65536, at=3), "Projection 'in->hidden': delay 65536"),
    (put("hidden->hidden", "signs", 0, at=1), "Projection 'hidden->hidden': signs must be +1 or -1, one a synapse (6)"),
    (put("hidden->hidden", "signs", np.ones(5, np.int8)), "signs must be +1 or -1, one a synapse (6)"),
    (put("hidden->hidden", "signs", np.ones(6, np.int64)), "Projection 'hidden->hidden': signs are int64; give int8"),
]

FLOAT = [
    (put("hidden", "bias", np.nan, at=1), "Population 'hidden': bias[1] is nan; constants must be finite"),
    (put("in->hidden", "weights", np.inf, at=4), "Projection 'in->hidden': weights[4] is inf; weights must be finite"),
    (put("hidden", "decay_v", 1.1, at=0), "Population 'hidden': decay_v has 1.1; a per-step decay factor lies in [0, 1], 1 for a membrane"),
    (put("hidden", "decay_u", 1.0, at=0), "Population 'hidden': decay_u has 1.0; a per-step decay factor lies in [0, 1)"),
    (put("hidden", "decay_a", -0.1, at=0), "Population 'hidden': decay_a has -0.1"),
    (put("hidden", "bias", np.zeros(3, np.int64)), "decay_v is float64; this is a graph of integers, give int64"),
    (put("hidden->out", "weight_exp", 1), "Projection 'hidden->out': weight_exp is 1; a float graph has none, set 0"),
    (put("hidden->hidden", "weights", -0.5, at=2), "Projection 'hidden->hidden': weights[2] = -0.5 against its sign +1; set it to 0"),
]

INTEGER = [
    (put("hidden", "decay_v", 4097, at=0), "Population 'hidden': decay_v has 4097; allowed in an integer graph: 1..4096, 12-bit decay"),
    (put("hidden", "decay_v", 0, at=0), "decay_v has 0; allowed in an integer graph: 1..4096"),
    (put("hidden", "decay_u", 4096, at=0), "decay_u has 4096; allowed in an integer graph: 0..4095"),
    (put("hidden", "decay_a", 0, at=0), "decay_a has 0; allowed in an integer graph: 1..4095"),
    (put("hidden", "gain", 2, at=0), "gain has 2; allowed in an integer graph: 1..1, gain is folded into the weights"),
    (put("hidden", "bias", 2**23, at=0), "bias has 8388608; allowed in an integer graph: -8388608..8388607, 24-bit state"),
    (put("hidden", "v_th", 2**17, at=0), "v_th has 131072; allowed in an integer graph: 0..131071, 17-bit mantissa"),
    (put("hidden", "v_reset", 1, at=0), "v_reset has 1; allowed in an integer graph: 0..0, integer graphs reset to 0"),
    (put("hidden", "kappa", -1, at=0), "kappa has -1; allowed in an integer graph: 0..8388607"),
    (put("hidden->out", "weights", 256, at=2), "Projection 'hidden->out': weight 256 does not fit 8 bits; mixed weights lie in -256..254"),
    (put("hidden->out", "weights", -258, at=2), "weight -258 does not fit 8 bits"),
    (put("hidden->out", "weights", 3, at=2), "Projection 'hidden->out': weight 3 is odd; mixed-sign 8-bit weights are even"),
    (put("hidden->hidden", "weights", 256, at=2), "weight 256 does not fit 8 bits; excitatory weights lie in 0..255"),
    (put("hidden->out", "weight_exp", 17), "Projection 'hidden->out': weight_exp is 17; allowed: -16..16"),
    (put("hidden->out", "weights", np.ones(6)), "Projection 'hidden->out': weights are float64; this is a graph of integers, give int64"),
]

CASES = [(p, *case) for p, cases in (("float", ANY + FLOAT), ("integer", ANY + INTEGER)) for case in cases]


@pytest.mark.parametrize(("precision", "change", "message"), CASES)
def test_a_broken_rule_is_named(precision: str, change: Callable[[Graph], None], message: str):
    graph = sound(precision)
    change(graph)
    with pytest.raises(GraphError) as error:
        Graph(graph.dt, graph.populations, graph.projections)
    assert message in str(error.value)


@pytest.mark.parametrize("dt", [0.0, -1e-3, np.nan, np.inf])
def test_dt_is_a_positive_time(dt: float):
    with pytest.raises(GraphError, match=r"dt is .*; it must be a positive number of seconds"):
        Graph(dt, (Input("in", 1),), ())


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_the_graph_behind_the_broken_ones_is_sound(precision: str):
    assert sound(precision).precision == precision


def test_the_ends_of_every_integer_range_are_allowed():
    one = {"decay_v": 4096, "decay_u": 4095, "bias": 2**23 - 1, "v_th": 2**17 - 1, "n_ref": 2**31}
    low = {"decay_v": 1, "decay_u": 0, "bias": -(2**23), "v_th": 0, "n_ref": 0}
    populations = (Input("in", 4), *(LIF.of(name, 4, precision="integer", **c) for name, c in (("high", one), ("low", low))))
    weights = {"mixed": (None, [-256, 254, 0, 2]), "excitatory": (1, [0, 255, 1, 2]), "inhibitory": (-1, [-255, -1, 0, -2])}
    projections = tuple(
        Projection(
            name, "in", "high", np.arange(5), np.arange(4), np.array(w), np.array([1, 65535, 1, 1]), exp, s and np.full(4, s, np.int8)
        )
        for (name, (s, w)), exp in zip(weights.items(), (-16, 0, 16))
    )
    assert [p.sign_mode for p in Graph(1e-3, populations, projections).projections] == list(weights)
