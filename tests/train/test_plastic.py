"""Plastic layers against the equations of Miconi et al. 2019 written as a loop over samples in float64, forward and all gradients."""

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.plastic import Episode, PlasticCore, Plasticity, PlasticLSTM, PlasticRNN, update

TOLERANCE = 1e-10
CELLS = {"rnn": PlasticRNN, "lstm": PlasticLSTM}
RULES = (
    ("none", "scalar"),
    ("hebbian", "scalar"),
    *itertools.product(("modulated", "retroactive"), ("scalar", "fanout", "synapse", "given")),
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(cell: str, rule: Plasticity, *, n_in: int = 3, n: int = 5, seed: int = 0, compiled: bool = True, **options: Any) -> PlasticCore:
    """A layer whose every parameter, biases too, is away from zero."""
    core = CELLS[cell](n_in, n, rule, generator=seeded(seed), compiled=compiled, **{"dtype": torch.float64, **options})
    with torch.no_grad():
        for name, p in core.named_parameters():
            if name.endswith("bias"):
                p.add_(0.3 * torch.randn(p.shape, generator=seeded(seed + 7)))
    return core


def state_of(core: PlasticCore, batch: int, seed: int, clip: float) -> Any:
    """A state in the middle of a life, with some H at the bound."""
    zero = core.initial_state(batch)
    drawn = {name: torch.randn(value.shape, generator=seeded(seed), dtype=value.dtype) * 0.5 for name, value in zero._asdict().items()}
    drawn["H"] = (drawn["H"] * 2 * clip).clamp(-clip, clip)
    return type(zero)(**{name: value.requires_grad_() for name, value in drawn.items()})


def clipped(u: Tensor, c: float) -> Tensor:
    """u between -c and c; no gradient at the bounds."""
    return torch.where(u.abs() < c, u, c * u.sign().detach())


def equations(core: PlasticCore, x: Tensor, start: Any, M: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
    """Hidden states and last state of the paper's equations (1)-(5), sample by sample."""
    p, rule, n = dict(core.named_parameters()), core.plasticity, core.n
    rows, ends = [], []
    for b in range(x.shape[1]):
        s = {name: value[b] for name, value in start._asdict().items()}
        h, H, E, c = s["h"], s["H"], s["E"], s.get("c")
        seen = []
        for t in range(len(x)):
            W = p["recurrent_weights"] + (p["alpha"] * H if rule.plastic else 0)
            drive = p["input_weights"] @ x[t, b] + p["bias"]
            post = torch.tanh(drive[:n] + W @ h)
            new = post
            if c is not None:
                into, keep, out = torch.sigmoid(drive[n:] + p["gate_weights"] @ h).reshape(3, n)
                c = keep * c + into * post
                new = out * torch.tanh(c)
            third = M[t, b] if M is not None else None
            if rule.learns_modulator:
                third = torch.tanh(p["modulator_weights"] @ new + p["modulator_bias"])
                if rule.modulator == "fanout":
                    third = p["fan_weights"] * third + p["fan_bias"]
                if rule.modulator == "synapse":
                    third = p["fan_weights"] * third
            if third is not None and third.ndim == 1:
                third = third[:, None]  # of the postsynaptic neuron: the row
            product = torch.outer(post, h)
            if rule.rule == "hebbian":
                H = clipped(H + p["eta"] * product, rule.clip)
            elif rule.rule == "modulated":
                H = clipped(H + third * product, rule.clip)
            elif rule.rule == "retroactive":
                H = clipped(H + third * E, rule.clip)
                E = (1 - p["eta"]) * E + p["eta"] * product
            h = new
            seen.append(h)
        rows.append(torch.stack(seen))
        ends.append({"h": h, "H": H, "E": E} | ({} if c is None else {"c": c}))
    return torch.stack(rows, 1), {name: torch.stack([end[name] for end in ends]) for name in ends[0]}


def compare(cell: str, rule: Plasticity, batch: int, steps: int, seed: int, *, by_neuron: bool = True, n: int = 5) -> float:
    """Both ways to run against the equations: values, and gradients of everything. Returns the share of H at the bound."""
    shares = []
    for compiled in (True, False):
        core = made(cell, rule, n=n, seed=seed, compiled=compiled)
        x = torch.randn(steps, batch, core.n_in, generator=seeded(seed + 1), dtype=torch.float64).requires_grad_()
        start = state_of(core, batch, seed + 2, rule.clip)
        M = None
        if rule.modulated and rule.modulator == "given":
            shape = (steps, batch, n) if by_neuron else (steps, batch)
            M = torch.randn(shape, generator=seeded(seed + 3), dtype=torch.float64).requires_grad_()
        inputs = {"x": x, **start._asdict(), **dict(core.named_parameters()), **({"M": M} if M is not None else {})}
        hidden, end = core(x, start, M)
        wanted, last = equations(core, x, start, M)
        results = []
        for values in ([hidden, *(end._asdict()[name] for name in last)], [wanted, *last.values()]):
            weights = seeded(seed + 4)
            loss = sum((torch.randn(v.shape, generator=weights, dtype=v.dtype) * v).sum() for v in values)
            grads = torch.autograd.grad(loss, list(inputs.values()), allow_unused=True, retain_graph=True)
            results.append((values, [torch.zeros_like(p) if g is None else g for g, p in zip(grads, inputs.values())]))
        (ours, our_grads), (theirs, their_grads) = results
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a, b, rtol=0, atol=TOLERANCE)
        for name, a, b in zip(inputs, our_grads, their_grads):
            torch.testing.assert_close(a, b, rtol=TOLERANCE, atol=TOLERANCE, msg=lambda text, name=name: f"gradient of {name}: {text}")
        shares.append(float((last["H"].abs() >= rule.clip).double().mean()) if rule.plastic else 0.0)
    assert shares[0] == shares[1]
    return shares[0]


@pytest.mark.parametrize("batch", [1, 30])
@pytest.mark.parametrize(("rule", "modulator"), RULES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_rule_is_its_equations(cell: str, rule: Any, modulator: Any, batch: int) -> None:
    """With a bound that many synapses meet."""
    clip = 0.1
    share = compare(cell, Plasticity(rule, modulator=modulator, clip=clip, initial_alpha=0.6, initial_eta=0.3), batch, 10, 4)
    assert share > 0.02 or rule == "none"


@settings(max_examples=40, deadline=None)
@given(
    cell=st.sampled_from(sorted(CELLS)),
    rule=st.sampled_from(RULES),
    alpha=st.sampled_from(["synapse", "neuron", "one"]),
    eta=st.sampled_from(["one", "synapse"]),
    by_neuron=st.booleans(),
    clip=st.sampled_from([0.1, 0.5, 2.0]),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 11)),
    seed=st.integers(0, 1000),
)
def test_any_combination_is_its_equations(cell, rule, alpha, eta, by_neuron, clip, sizes, seed) -> None:
    name, modulator = rule
    n, batch, steps = sizes
    eta = eta if name == "hebbian" else "one"
    plasticity = Plasticity(name, alpha, eta, modulator, clip, initial_alpha=0.6, initial_eta=0.3)
    compare(cell, plasticity, batch, steps, seed, by_neuron=by_neuron, n=n)


def test_fan_out_acts_on_postsynaptic_rows_at_batch_one() -> None:
    """Worked by hand: H_ji = M_j post_j pre_i, with M = (1, 10)."""
    pre, post, M = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 5.0]]), torch.tensor([[1.0, 10.0]])
    H, _ = update("modulated", torch.zeros(1, 2, 2), torch.zeros(1, 0, 0), pre, post, None, M, 100.0)
    assert H.tolist() == [[[3.0, 6.0], [50.0, 100.0]]]


def test_retroactive_uses_the_old_trace() -> None:
    """Worked by hand: H takes E = 4 of before the step, then E moves a quarter of its way to post pre = 6."""
    one = torch.ones(1, 1)
    H, E = update("retroactive", torch.zeros(1, 1, 1), torch.full((1, 1, 1), 4.0), 2 * one, 3 * one, 0.25 * one, 0.5 * one, 10.0)
    assert (float(H), float(E)) == (2.0, 4.5)


def test_the_weight_of_a_step_has_the_h_of_before_it() -> None:
    core = made("rnn", Plasticity("hebbian", clip=10.0))
    x = torch.randn(2, 1, 3, generator=seeded(1), dtype=torch.float64)
    rigid = core.without_plasticity()
    torch.testing.assert_close(core(x[:1])[0], rigid(x[:1])[0], rtol=0, atol=TOLERANCE)  # H is zero in the first step
    start = core.initial_state(1)._replace(h=torch.ones(1, 5, dtype=torch.float64))
    h, state = core.step(x[0], start)
    torch.testing.assert_close(h, rigid.step(x[0], rigid.initial_state(1)._replace(h=start.h))[0])
    torch.testing.assert_close(state.H[0], 0.1 * torch.outer(h[0], start.h[0]))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("compiled", [True, False])
def test_detach_cuts_the_past(cell: str, compiled: bool) -> None:
    core = made(cell, Plasticity("retroactive", clip=0.3, initial_alpha=0.5), compiled=compiled)
    x = torch.randn(8, 2, 3, generator=seeded(1), dtype=torch.float64).requires_grad_()
    _, state = core(x[:4])
    assert all(part.requires_grad for part in state)
    cut = state.detach()
    assert not any(part.requires_grad for part in cut)
    assert all(torch.equal(a, b) for a, b in zip(cut, state))
    core(x[4:], cut)[0].sum().backward()
    assert x.grad is not None
    assert not x.grad[:4].any()
    torch.testing.assert_close(core(x[4:], state)[0], core(x)[0][4:], rtol=0, atol=TOLERANCE)


def test_no_plasticity_is_a_modulator_of_zero() -> None:
    x = torch.randn(9, 2, 3, generator=seeded(1), dtype=torch.float64)
    for rule in ("modulated", "retroactive"):
        core = made("rnn", Plasticity(rule, modulator="given"))
        torch.testing.assert_close(core(x, None, torch.zeros(9, 2, dtype=torch.float64))[0], core.without_plasticity()(x)[0])


def test_numbers_of_32_bits() -> None:
    """The kernels in the precision of training, against PyTorch's loop."""
    x = torch.randn(20, 3, 3, generator=seeded(1))
    for cell, (rule, modulator) in itertools.product(CELLS, [each for each in RULES if each[1] != "given"]):
        loss, cores = [], [made(cell, Plasticity(rule, modulator=modulator), compiled=c, dtype=torch.float32) for c in (True, False)]
        for core in cores:
            loss.append(core(x)[0].square().sum())
            loss[-1].backward()
        torch.testing.assert_close(*loss, rtol=1e-5, atol=1e-6)
        for a, b in zip(*(core.parameters() for core in cores)):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4)


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    core = made("rnn", Plasticity("retroactive"), n=40, dtype=torch.float32)
    x = torch.randn(60, 19, 3, generator=seeded(1))
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NEUROMORPH_THREADS", threads)
        core.zero_grad()
        hidden, state = core(x)
        (hidden.sum() + state.H.sum()).backward()
        found.append([hidden.detach(), *(p.grad for p in core.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found))


def test_the_record_of_a_run_is_small() -> None:
    """A run of 200 steps keeps no more than a few H."""
    core = made("rnn", Plasticity("retroactive"), n=60, dtype=torch.float32)
    batch, steps = 2, 200
    episode = Episode(core, steps, core.initial_state(batch))
    assert episode.tape is not None
    kept = sum(each.nbytes for each in (*episode.tape.record, episode.tape.H, episode.tape.E))
    assert kept < 0.1 * (2 * steps * batch * 60 * 60 * 4)


def test_modulation_is_asked_for_just_where_it_is_used() -> None:
    x, M = torch.zeros(2, 1, 3, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    with pytest.raises(TrainingError, match="modulation is needed"):
        made("rnn", Plasticity("modulated", modulator="given"))(x)
    with pytest.raises(TrainingError, match="modulation is not used"):
        made("rnn", Plasticity("modulated"))(x, None, M)
    with pytest.raises(TrainingError, match="modulation is not used"):
        made("rnn", Plasticity("hebbian", modulator="given")).step(x[0], None, M[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rule": "oja"}, "rule is 'oja'; allowed are none, hebbian"),
        ({"alpha": "layer"}, "alpha is 'layer'"),
        ({"eta": "synapse"}, "eta a synapse is for the rule 'hebbian'"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"initial_eta": 1.5}, "initial_eta from 0 to 1"),
    ],
)
def test_options_that_are_not_offered(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        dataclasses.replace(Plasticity(), **wrong) if "eta" not in wrong else Plasticity(**wrong)
    with pytest.raises(TrainingError, match="at least 1"):
        PlasticRNN(0, 3, generator=seeded(0))


def test_eta_is_put_back_into_its_range() -> None:
    core = made("lstm", Plasticity("hebbian", eta="synapse"))
    assert core.eta is not None
    with torch.no_grad():
        core.eta += torch.linspace(-1, 1, 25, dtype=torch.float64).view(5, 5)
        core.constrain()
        assert (float(core.eta.min()), float(core.eta.max())) == (0.0, 1.0)


def test_shapes_of_what_is_learned() -> None:
    shapes = {name: tuple(p.shape) for name, p in made("lstm", Plasticity("modulated", "neuron", modulator="fanout")).named_parameters()}
    assert shapes["alpha"] == (5, 1)
    assert shapes["fan_weights"] == shapes["fan_bias"] == shapes["modulator_weights"] == (5,)
    assert "eta" not in shapes
    assert shapes["gate_weights"] == (15, 5)
    by_synapse = {name: tuple(p.shape) for name, p in made("lstm", Plasticity("modulated", modulator="synapse")).named_parameters()}
    assert by_synapse["fan_weights"] == (5, 5)
    assert "fan_bias" not in by_synapse
