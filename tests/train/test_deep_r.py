"""DEEP R: the invariants after every step, and each line of the update by hand."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.train.deep_r import NEWBORN, DeepR, allowed_synapses, draw_masks
from neuromorph.train.rewiring import Rewiring

SHAPES = {"input": (7, 5), "recurrent": (7, 7), "readout": (3, 7)}
OPTIMIZERS = {
    "SGD": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": partial(torch.optim.RMSprop, momentum=0.5),
    "Adagrad": partial(torch.optim.Adagrad, initial_accumulator_value=0.1),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wrapped(kind: str = "Adam", *, connectivity=0.3, seed: int = 0, lr: float = 0.1, rule=DeepR, **options):
    """Small random matrices under DEEP R or another `rule`; with a running generator unless `seed_by_step` is given."""
    g = seeded(seed)
    signs = {name: torch.randint(0, 2, shape, generator=g) * 2.0 - 1 for name, shape in SHAPES.items()}
    weights = {name: torch.nn.Parameter(signs[name] * torch.rand(shape, generator=g)) for name, shape in SHAPES.items()}
    masks = draw_masks(allowed_synapses(weights), connectivity, g)
    by_step = options.pop("seed_by_step", None)
    source = {"generator": g} if by_step is None else {"seed": by_step}
    return rule(OPTIMIZERS[kind](weights.values(), lr=lr), weights, signs, masks, **source, **options)


def descend(deep_r: Rewiring, g: torch.Generator) -> None:
    """One step with random gradients, dormant entries included."""
    for w in deep_r.weights.values():
        w.grad = torch.randn(w.shape, generator=g)
    deep_r.step()


def assert_invariants(deep_r: DeepR, n_active: int) -> None:
    masks = deep_r.masks()
    assert sum(int(mask.sum()) for mask in masks.values()) == n_active
    for name, w in deep_r.weights.items():
        assert (w[~masks[name]] == 0).all()
        assert (deep_r.signs[name] * w >= 0).all()
        assert (w != 0).sum() == masks[name].sum()
    assert (deep_r.weights["recurrent"].diagonal() == 0).all()


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(sorted(OPTIMIZERS)),
    connectivity=st.floats(0.01, 1.0),
    lr=st.sampled_from([1e-3, 0.1, 3.0]),
    l1=st.sampled_from([0.0, 0.01, 1.0]),
    temperature=st.sampled_from([0.0, 0.01]),
    gradients=st.sampled_from(["dense", "live"]),
    seed=st.integers(0, 2**31),
)
def test_count_signs_and_zeros_hold_after_every_step(kind, connectivity, lr, l1, temperature, gradients, seed):
    options = {"l1": l1, "temperature": temperature, "dormant_gradients": gradients}
    deep_r = wrapped(kind, connectivity=connectivity, seed=seed, lr=lr, **options)
    requested = round(connectivity * (7 * 5 + 7 * 6 + 3 * 7))
    signs = {name: sign.clone() for name, sign in deep_r.signs.items()}
    assert_invariants(deep_r, requested)
    g = seeded(seed + 1)
    for _ in range(6):
        descend(deep_r, g)
        assert_invariants(deep_r, requested)
    assert all(torch.equal(signs[name], deep_r.signs[name]) for name in signs)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_synapses_do_move(kind):
    deep_r = wrapped(kind, lr=0.3)
    before = deep_r.masks()
    g = seeded(3)
    for _ in range(10):
        descend(deep_r, g)
    after = deep_r.masks()
    assert any((before[name] != after[name]).any() for name in before)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_resumes_identically(kind):
    def run(deep_r: DeepR, g: torch.Generator, steps: int) -> None:
        for _ in range(steps):
            descend(deep_r, g)

    one, g = wrapped(kind, l1=0.01, temperature=0.001), seeded(5)
    run(one, g, 4)
    state, weights, place = one.state_dict(), {n: w.detach().clone() for n, w in one.weights.items()}, g.get_state()
    run(one, g, 4)

    two = wrapped(kind, seed=9)
    with torch.no_grad():
        for name, w in two.weights.items():
            w.copy_(weights[name])
    two.load_state_dict(state)
    h = torch.Generator()
    h.set_state(place)
    run(two, h, 4)
    assert two.l1 == one.l1
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in SHAPES)


def test_state_of_other_weights_is_refused():
    state = wrapped(connectivity=0.3).state_dict()
    with pytest.raises(TrainingError, match="restore them first"):
        wrapped(connectivity=0.5).load_state_dict(state)


def two_by_three(w: list[list[float]], signs: list[list[float]], **options) -> tuple[DeepR, torch.nn.Parameter]:
    """One matrix under SGD with lr 0.5; active where w is not 0."""
    weight, sign = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64)), torch.tensor(signs, dtype=torch.float64)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    masks = {"input": weight.detach() != 0}
    return DeepR(optimizer, {"input": weight}, {"input": sign}, masks, generator=seeded(0), **options), weight


def test_l1_is_decoupled():
    """Zero gradient: theta falls by lr * l1 = 0.05 with SGD and with Adam alike; the one at 0.04 dies."""
    for kind in (torch.optim.SGD, torch.optim.Adam):
        deep_r, w = two_by_three([[1.0, -0.3, 0.04], [0, 0, 0]], [[1, -1, 1], [1, 1, -1]], l1=0.1)
        deep_r.optimizer = kind([w], lr=0.5)
        w.grad = torch.zeros_like(w)
        deep_r.step()
        found = w.detach().flatten().tolist()
        assert found[:2] == pytest.approx([0.95, -0.25], abs=1e-15)
        assert sorted(abs(x) for x in found[2:]) == [0, 0, 0, NEWBORN]


def test_gradient_step_and_dormancy_by_hand():
    """SGD, lr 0.5. Active 0.2 with gradient 1 crosses zero and dies; a dormant entry with gradient -4 stays 0."""
    deep_r, w = two_by_three([[0.2, 0.5, 0, 0.9]], [[1, 1, 1, 1]])
    deep_r.allowed["input"] = torch.tensor([[True, True, False, True]])
    w.grad = torch.tensor([[1.0, -0.2, -4.0, 0.4]], dtype=torch.float64)
    deep_r.step()
    assert w.tolist() == [[NEWBORN, 0.6, 0.0, 0.7]]  # the one that died is the only candidate


def test_newborn_takes_its_sign():
    deep_r, w = two_by_three([[0.1, 0.0]], [[1, -1]], l1=0.0)
    seen = set()
    for seed in range(8):
        with torch.no_grad():
            w.copy_(torch.tensor([[0.1, 0.0]]))
        deep_r.generator.manual_seed(seed)
        w.grad = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        deep_r.step()
        seen.add(tuple(w.detach().flatten().tolist()))
    assert seen == {(NEWBORN, 0.0), (0.0, -NEWBORN)}


def test_learning_rate_of_the_matrix_own_group():
    a, b = (torch.nn.Parameter(torch.ones(2, 2, dtype=torch.float64)) for _ in range(2))
    ones = torch.ones(2, 2, dtype=torch.float64)
    optimizer = torch.optim.SGD([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.2}])
    masks = {"a": ones.bool(), "b": ones.bool()}
    deep_r = DeepR(optimizer, {"a": a, "b": b}, {"a": ones, "b": ones}, masks, generator=seeded(0), l1=1.0)
    optimizer.param_groups[1]["lr"] = 0.3  # as a schedule does
    deep_r.step()
    assert torch.allclose(a, 0.9 * ones, rtol=1e-15)
    assert torch.allclose(b, 0.7 * ones, rtol=1e-15)


def test_noise_has_the_stated_variance():
    """40 000 active synapses at theta = 100: increments are N(0, 2 lr T) = N(0, 0.02)."""
    w = torch.nn.Parameter(torch.full((200, 200), 100.0, dtype=torch.float64))
    ones = torch.ones_like(w)
    deep_r = DeepR(torch.optim.SGD([w], lr=0.1), {"w": w}, {"w": ones}, {"w": ones.bool()}, generator=seeded(0), temperature=0.1)
    deep_r.step()
    moved = w.detach() - 100
    n = moved.numel()
    assert abs(moved.mean()) < 5 * math.sqrt(0.02 / n)
    assert abs(moved.var() / 0.02 - 1) < 5 * math.sqrt(2 / n)


def test_dormant_synapses_do_not_wander():
    deep_r, w = two_by_three([[100.0, 0.0, 0.0]], [[1, 1, -1]], temperature=1.0)
    deep_r.step()
    assert w[0, 1:].tolist() == [0.0, 0.0]
    assert w[0, 0] != 100.0


def test_regrowth_is_uniform_over_all_matrices():
    """One lost synapse, 23 candidates in two matrices, 2300 draws: chi-square of 22 degrees below the 99.9 % point 48.3."""
    draws, counts = 2300, torch.zeros(23)
    g = seeded(1)
    a, b = torch.nn.Parameter(torch.zeros(2, 4)), torch.nn.Parameter(torch.zeros(4, 4))
    weights = {"readout": a, "recurrent": b}
    ones = {name: torch.ones_like(w) for name, w in weights.items()}
    keep = {"readout": torch.ones(2, 4, dtype=torch.bool), "recurrent": torch.ones(4, 4, dtype=torch.bool)}
    keep["recurrent"][0, 0] = False
    start = {"readout": torch.zeros(2, 4, dtype=torch.bool), "recurrent": torch.zeros(4, 4, dtype=torch.bool)}
    start["readout"][0, 0] = True
    deep_r = DeepR(torch.optim.SGD([a, b], lr=1.0), weights, ones, start, generator=g, allowed=keep, l1=1.0)
    for _ in range(draws):  # every newborn dies at once of L1
        deep_r.step()
        masks = deep_r.masks()
        counts += torch.cat([masks["readout"].flatten(), masks["recurrent"].flatten()[1:]])
    assert counts.sum() == draws
    chi_square = ((counts - draws / 23) ** 2 / (draws / 23)).sum()
    assert chi_square < 48.3


@given(st.floats(0.001, 1.0), st.integers(0, 2**31))
def test_masks_have_exactly_the_requested_number(connectivity, seed):
    allowed = allowed_synapses({name: torch.zeros(shape) for name, shape in SHAPES.items()})
    masks = draw_masks(allowed, connectivity, seeded(seed))
    assert sum(int(mask.sum()) for mask in masks.values()) == round(connectivity * 98)
    assert not masks["recurrent"].diagonal().any()


@pytest.mark.parametrize("connectivity", [0.0, -0.1, 1.01, float("nan")])
def test_connectivity_out_of_range(connectivity):
    with pytest.raises(TrainingError, match="Connectivity"):
        draw_masks({"input": torch.ones(2, 2, dtype=torch.bool)}, connectivity, seeded(0))


def test_bad_starts_are_refused():
    w = torch.nn.Parameter(torch.tensor([[1.0, -1.0], [0.5, 0.0]]))
    plus = torch.ones(2, 2)
    everything = torch.ones(2, 2, dtype=torch.bool)
    optimizer = torch.optim.SGD([w], lr=0.1)

    def build(name="recurrent", weights=w, signs=plus, mask=everything, optimizer=optimizer, **options):
        return DeepR(optimizer, {name: weights}, {name: signs}, {name: mask}, generator=seeded(0), **options)

    with pytest.raises(TrainingError, match="not allowed"):
        build()
    with pytest.raises(TrainingError, match="oppose"):
        build("input")
    with pytest.raises(TrainingError, match=r"\+1 or -1"):
        build("input", signs=0.5 * plus)
    with pytest.raises(TrainingError, match="does not hold"):
        build("input", optimizer=torch.optim.SGD([torch.nn.Parameter(plus)], lr=0.1))
    with pytest.raises(TrainingError, match="shape"):
        build("input", signs=torch.ones(2, 3))
    with pytest.raises(TrainingError, match="negative"):
        build("input", signs=w.detach().sign() + (w.detach() == 0), l1=-1.0)
    with pytest.raises(TrainingError, match="signs are given for"):
        DeepR(optimizer, {"input": w}, {"other": plus}, {"input": everything}, generator=seeded(0))


def test_half_precision_cannot_hold_newborns():
    w = torch.nn.Parameter(torch.ones(2, 2, dtype=torch.float16))
    ones = torch.ones(2, 2, dtype=torch.float16)
    with pytest.raises(TrainingError, match="float16"):
        DeepR(torch.optim.SGD([w], lr=0.1), {"w": w}, {"w": ones}, {"w": ones.bool()}, generator=seeded(0))


def test_nan_gradient_is_named():
    deep_r = wrapped()
    for w in deep_r.weights.values():
        w.grad = torch.zeros_like(w)
    deep_r.weights["readout"].grad[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="'readout'"):
        deep_r.step()
