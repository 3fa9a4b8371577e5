"""DEEP R's options: constraint, schedule, dormant gradients, draws by (seed, step), digest, resume."""

import hashlib
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.train.connectivity import ConnectivitySchedule, allowed_synapses, draw_masks
from neuromorph.train.deep_r import NEWBORN, DeepR
from neuromorph.train.soft_deep_r import SoftDeepR
from tests.train.test_deep_r import OPTIMIZERS, SHAPES, assert_invariants, descend, seeded, wrapped

DENSITIES = {"input": 0.5, "recurrent": 0.2, "readout": 1.0}
ALLOWED = {"input": 35, "recurrent": 42, "readout": 21}
FALLING = ConnectivitySchedule(0.6, 0.1, 2, 6, "cubic")
RISING = ConnectivitySchedule(0.1, 0.9, 1, 5)


def counts(deep_r) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in deep_r.masks().items()}


def single(w: list[float], *, lr: float = 1.0, optimizer=torch.optim.SGD, **options) -> tuple[DeepR, torch.nn.Parameter]:
    """One row of positive synapses in float64; active where w > 0."""
    weight = torch.nn.Parameter(torch.tensor([w], dtype=torch.float64))
    masks = {"input": weight.detach() > 0}
    given_seed = {"seed": 0} if "generator" not in options else {}
    return DeepR(optimizer([weight], lr=lr), {"input": weight}, {"input": torch.ones_like(weight)}, masks, **given_seed, **options), weight


# ---- constraint


@settings(max_examples=12, deadline=None)
@given(kind=st.sampled_from(sorted(OPTIMIZERS)), l1=st.sampled_from([0.0, 1.0]), seed=st.integers(0, 2**31))
def test_each_projection_keeps_its_number(kind, l1, seed):
    deep_r = wrapped(kind, connectivity=DENSITIES, seed=seed, l1=l1, constraint="projection", temperature=0.01)
    expected = {name: round(DENSITIES[name] * ALLOWED[name]) for name in ALLOWED}
    assert counts(deep_r) == expected
    g = seeded(seed)
    for _ in range(5):
        descend(deep_r, g)
        assert counts(deep_r) == expected
        assert_invariants(deep_r, sum(expected.values()))


def test_a_global_number_lets_densities_drift():
    deep_r, g = wrapped(lr=0.3), seeded(1)
    before = counts(deep_r)
    for _ in range(10):
        descend(deep_r, g)
    assert counts(deep_r) != before
    assert sum(counts(deep_r).values()) == sum(before.values()) == deep_r.n_active


def test_every_recurrent_matrix_has_no_autapses():
    names = ("recurrent", "recurrent_2", "recurrent_reversed", "input", "feedforward_recurrent")
    allowed = allowed_synapses({name: torch.zeros(4, 4) for name in names})
    assert [int(allowed[name].sum()) for name in names] == [12, 12, 12, 16, 16]
    assert [bool(allowed[name].diagonal().any()) for name in names] == [False, False, False, True, True]
    with pytest.raises(TrainingError, match="square"):
        allowed_synapses({"recurrent_2": torch.zeros(3, 4)})


# ---- schedule


@pytest.mark.parametrize("ramp", ["linear", "cubic"])
def test_schedule_by_the_formula(ramp):
    schedule = ConnectivitySchedule(0.7, 0.1, 100, 500, ramp)
    power = {"linear": 1, "cubic": 3}[ramp]
    assert [schedule.density(t) for t in (0, 100, 500, 10**6)] == [0.7, 0.7, 0.1, 0.1]
    for t in (101, 200, 300, 499):
        sparsity = (1 - 0.1) + ((1 - 0.7) - (1 - 0.1)) * (1 - (t - 100) / 400) ** power  # Zhu & Gupta, eq. 1
        assert schedule.density(t) == pytest.approx(1 - sparsity, abs=1e-14)


@given(
    initial=st.floats(0, 1),
    final=st.floats(0, 1),
    first=st.integers(0, 50),
    length=st.integers(1, 50),
    ramp=st.sampled_from(["linear", "cubic"]),
    n=st.integers(0, 10**6),
)
def test_schedule_is_monotone_and_hits_its_ends(initial, final, first, length, ramp, n):
    schedule = ConnectivitySchedule(initial, final, first, first + length, ramp)
    found = [schedule.count(t, n) for t in range(first + length + 2)]
    assert found[: first + 1] == [round(initial * n)] * (first + 1)
    assert found[first + length :] == [round(final * n)] * 2
    assert found == sorted(found, reverse=final < initial)


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(sorted(OPTIMIZERS)),
    initial=st.floats(0.02, 1.0),
    final=st.floats(0.0, 1.0),
    ramp=st.sampled_from(["linear", "cubic"]),
    gradients=st.sampled_from(["dense", "live"]),
    l1=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**31),
)
def test_number_follows_the_schedule_exactly(kind, initial, final, ramp, gradients, l1, seed):
    schedule = ConnectivitySchedule(initial, final, 1, 5, ramp)
    deep_r = wrapped(kind, connectivity=initial, seed=seed, schedule=schedule, l1=l1, dormant_gradients=gradients)
    g = seeded(seed)
    for t in range(1, 8):
        descend(deep_r, g)
        assert_invariants(deep_r, round(schedule.density(t) * 98))
        assert deep_r.n_active == round(schedule.density(t) * 98)


def test_each_projection_may_have_its_own_schedule():
    schedules = {"input": FALLING, "recurrent": RISING, "readout": ConnectivitySchedule(0.5, 0.5)}
    initial = {name: schedule.initial for name, schedule in schedules.items()}
    deep_r, g = wrapped(connectivity=initial, constraint="projection", schedule=schedules), seeded(2)
    for t in range(1, 9):
        descend(deep_r, g)
        assert counts(deep_r) == {name: schedules[name].count(t, ALLOWED[name]) for name in schedules}
    assert counts(deep_r) == {"input": 4, "recurrent": 38, "readout": 10}


def test_the_weakest_go():
    """No gradient; half of six go: 0.1 and 0.2, and of the three equal ones the first."""
    deep_r, w = single([0.3, 0.9, 0.3, 0.1, 0.3, 0.2], schedule=ConnectivitySchedule(1.0, 0.5, 0, 1))
    deep_r.step()
    assert w.tolist() == [[0.0, 0.9, 0.3, 0.0, 0.3, 0.0]]


def test_lost_synapses_count_towards_a_falling_number():
    """Of four, three are to stay; the one that L1 kills is enough, and nothing is drawn in its place."""
    deep_r, w = single([1.0, 2.0, 0.25, 3.0], l1=0.5, schedule=ConnectivitySchedule(1.0, 0.75, 0, 1))
    deep_r.step()
    assert w.tolist() == [[0.5, 1.5, 0.0, 2.5]]


def test_schedules_that_do_not_fit_are_refused():
    with pytest.raises(TrainingError, match=r"must be in \[0, 1\]"):
        ConnectivitySchedule(1.2, 0.1, 0, 5)
    with pytest.raises(TrainingError, match="first < last"):
        ConnectivitySchedule(0.2, 0.1, 5, 5)
    with pytest.raises(TrainingError, match="initial density"):
        wrapped(connectivity=0.3, schedule=ConnectivitySchedule(0.4, 0.1, 0, 5))
    with pytest.raises(TrainingError, match="takes"):
        wrapped(schedule={"input": FALLING})
    with pytest.raises(TrainingError, match="Connectivity is given for"):
        draw_masks({"input": torch.ones(2, 2, dtype=torch.bool)}, {"output": 0.5}, seeded(0))


# ---- gradients of dormant synapses


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_live_gradients_equal_an_optimizer_that_holds_active_synapses_only(kind):
    """While nothing is rewired: the oracle has one vector of the active entries."""
    start = torch.tensor([[5.0, 0.0, 7.0], [0.0, 0.0, 9.0]], dtype=torch.float64)
    active = start > 0
    w, alone = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start[active].clone())
    optimizer, oracle = OPTIMIZERS[kind]([w], lr=0.01), OPTIMIZERS[kind]([alone], lr=0.01)
    deep_r = DeepR(optimizer, {"w": w}, {"w": torch.ones_like(start)}, {"w": active}, seed=0, dormant_gradients="live")
    g = seeded(4)
    for _ in range(20):
        w.grad = torch.randn(w.shape, generator=g, dtype=w.dtype)
        alone.grad = w.grad[active].clone()
        deep_r.step()
        oracle.step()
    assert torch.equal(w[active], alone)
    for name, moment in optimizer.state[w].items():
        if name != "step":
            assert torch.equal(moment[active], oracle.state[alone][name])
            assert (moment[~active] == (0.1 if name == "sum" else 0)).all()


def test_dense_gradients_warm_the_moments_of_dormant_synapses():
    """Adam's own recurrence, at an entry that never becomes active."""
    deep_r, w = single([1.0, 0.0], optimizer=torch.optim.Adam, lr=1e-3)
    mean = square = 0.0
    for k in range(5):
        w.grad = torch.tensor([[0.5, k - 1.0]], dtype=torch.float64)
        deep_r.step()
        mean, square = 0.9 * mean + 0.1 * (k - 1.0), 0.999 * square + 0.001 * (k - 1.0) ** 2
    state = deep_r.optimizer.state[w]
    assert state["exp_avg"][0, 1].item() == pytest.approx(mean, rel=1e-14)
    assert state["exp_avg_sq"][0, 1].item() == pytest.approx(square, rel=1e-14)


@pytest.mark.parametrize("kind", ["momentum", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_moments_of_newborns_restart(kind):
    deep_r, g = wrapped(kind, lr=0.3, dormant_gradients="live"), seeded(6)
    born = 0
    for _ in range(8):
        descend(deep_r, g)
        for w in deep_r.weights.values():
            newborn = w.detach().abs() == torch.tensor(NEWBORN)
            born += int(newborn.sum())
            for key, moment in deep_r.optimizer.state[w].items():
                if key != "step":
                    assert (moment[newborn] == torch.tensor(0.1 if key == "sum" else 0.0)).all()
    assert born > 10


def test_first_step_of_a_newborn():
    """Late in training, gradient -1 at a newborn: with warm moments about lr, with fresh ones 0.1 / sqrt(0.001) lr."""
    born_at_200 = ConnectivitySchedule(0.5, 1.0, 199, 200)
    warm, fresh = 1 / math.sqrt(1 - 0.999**201), 0.1 / math.sqrt(0.001)  # Adam's m / sqrt(v) without bias correction
    for gradients, factor in (("dense", warm), ("live", fresh)):
        deep_r, w = single([1e3, 0.0], optimizer=torch.optim.Adam, lr=1e-3, schedule=born_at_200, dormant_gradients=gradients)
        for step in range(201):
            w.grad = torch.tensor([[0.0, -1.0]], dtype=torch.float64)
            if step == 200:
                assert w[0, 1].item() == NEWBORN
                deep_r.optimizer.state[w]["step"].fill_(1e6)  # bias correction over
            deep_r.step()
        assert w[0, 1].item() == pytest.approx(1e-3 * factor, rel=1e-5)


def test_live_gradients_reach_through_a_closure():
    deep_r, w = single([1.0, 0.0], optimizer=torch.optim.Adam, lr=0.01, dormant_gradients="live")

    def closure():
        deep_r.zero_grad()
        loss = (w * torch.tensor([[2.0, 3.0]], dtype=torch.float64)).sum()
        loss.backward()
        return loss

    assert deep_r.step(closure).item() == 2.0
    assert w.grad is not None
    assert w.grad.tolist() == [[2.0, 0.0]]
    assert w.tolist() == [[pytest.approx(0.99), 0.0]]


# ---- dormant synapses carry nothing


@pytest.mark.parametrize("gradients", ["dense", "live"])
def test_no_spike_passes_a_dormant_synapse(gradients):
    """A target's input is the same, bit for bit, when all sources of its dormant synapses are silenced."""
    deep_r, g = wrapped("momentum", dormant_gradients=gradients, l1=0.1), seeded(8)
    for _ in range(5):
        descend(deep_r, g)
    spikes = torch.randint(0, 2, (20, 7), generator=g).float()
    for name in ("recurrent", "readout"):
        w, mask = deep_r.weights[name].detach(), deep_r.masks()[name]
        assert not torch.signbit(w[~mask]).any()
        for target in range(len(w)):
            live = spikes.clone()
            live[:, ~mask[target]] = 0
            assert torch.equal(spikes @ w[target], live @ w[target])


# ---- draws by (seed, step), digest


def replicas(n: int, **options) -> list[DeepR]:
    return [wrapped(seed_by_step=11, temperature=0.01, l1=0.01, **options) for _ in range(n)]


def test_ranks_agree_without_shared_state():
    """Two processes with the all-reduced gradient: equal weights and digests; global generators play no part."""
    ranks, g = replicas(2), seeded(3)
    for step in range(6):
        for name in SHAPES:
            gradient = torch.randn(SHAPES[name], generator=g)
            for rank in ranks:
                rank.weights[name].grad = gradient.clone()
        for number, rank in enumerate(ranks):
            torch.manual_seed(100 * step + number)
            rank.step()
        assert ranks[0].digest() == ranks[1].digest()
    assert all(torch.equal(ranks[0].weights[name], ranks[1].weights[name]) for name in SHAPES)


def test_draws_depend_on_seed_and_step():
    def drawn(seed: int, before: int) -> list[float]:
        deep_r, w = single([100.0] * 3, seed=seed, generator=None, temperature=1.0)
        deep_r.steps = before
        deep_r.step()
        return w.tolist()[0]

    assert drawn(1, 5) == drawn(1, 5)
    assert len({tuple(drawn(seed, step)) for seed in (1, 2) for step in (0, 1, 2)}) == 6


def test_either_generator_or_seed():
    w = torch.nn.Parameter(torch.ones(2, 2))
    parts = torch.optim.SGD([w]), {"w": w}, {"w": torch.ones(2, 2)}, {"w": torch.ones(2, 2, dtype=torch.bool)}
    with pytest.raises(TrainingError, match="either"):
        DeepR(*parts)
    with pytest.raises(TrainingError, match="either"):
        DeepR(*parts, generator=seeded(0), seed=0)


def test_digest_by_hand():
    deep_r = wrapped()
    expected = hashlib.sha256()
    for name in sorted(SHAPES):
        bits = "".join("1" if active else "0" for active in deep_r.masks()[name].flatten().tolist())
        bits += "0" * (-len(bits) % 8)
        expected.update(f"{name}\0{SHAPES[name]}\0".encode() + int(bits, 2).to_bytes(len(bits) // 8, "big"))
    assert deep_r.digest() == expected.hexdigest()
    before = deep_r.digest()
    with torch.no_grad():
        deep_r.weights["input"] *= 2
    assert deep_r.digest() == before
    with torch.no_grad():
        deep_r.weights["input"][deep_r.masks()["input"].nonzero()[0].unbind()] = 0
    assert deep_r.digest() != before


# ---- resume

RESUMED = {
    "dense": {},
    "live": {"dormant_gradients": "live"},
    "seeded": {"seed_by_step": 5, "dormant_gradients": "live"},
    "projection": {"constraint": "projection"},
    "falling": {"connectivity": 0.6, "schedule": FALLING},
    "rising": {"connectivity": 0.1, "schedule": RISING, "constraint": "global", "seed_by_step": 1},
    "own schedules": {
        "connectivity": {"input": 0.6, "recurrent": 0.1, "readout": 0.6},
        "constraint": "projection",
        "schedule": {"input": FALLING, "recurrent": RISING, "readout": FALLING},
    },
    "soft": {"rule": SoftDeepR, "theta_min": -0.1},
    "soft seeded": {"rule": SoftDeepR, "theta_min": -0.1, "seed_by_step": 5, "dormant_gradients": "live"},
}


def run(deep_r, g: torch.Generator, steps: int) -> None:
    for _ in range(steps):
        descend(deep_r, g)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("options", RESUMED.values(), ids=RESUMED)
def test_resumes_identically_with_every_option(kind, options):
    one, g = wrapped(kind, l1=0.01, temperature=0.001, **options), seeded(5)
    run(one, g, 3)
    state, weights, place = one.state_dict(), {n: w.detach().clone() for n, w in one.weights.items()}, g.get_state()
    run(one, g, 4)

    plain = {key: value for key, value in options.items() if key in ("rule", "theta_min")}
    two = wrapped(kind, seed=9, temperature=0.5, **plain)  # every other option comes from the state
    for _ in range(2):  # loading leaves the state as it was
        with torch.no_grad():
            for name, w in two.weights.items():
                w.copy_(weights[name])
        two.load_state_dict(state)
        h = torch.Generator()
        h.set_state(place)
        run(two, h, 4)
        assert all(torch.equal(one.weights[name], two.weights[name]) for name in SHAPES)
        assert one.digest() == two.digest()
    assert_same(one.state_dict(), two.state_dict())


def assert_same(one, two) -> None:
    """Equal nested dicts and lists of tensors and JSON values."""
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, two)
    else:
        assert json.dumps(one) == json.dumps(two)


def test_state_of_weights_with_as_many_other_synapses_is_refused():
    state = wrapped(seed=1).state_dict()
    with pytest.raises(TrainingError, match="restore them first"):
        wrapped(seed=2).load_state_dict(state)
    w = torch.nn.Parameter(torch.ones(2, 2))
    other = DeepR(torch.optim.SGD([w]), {"w": w}, {"w": torch.ones(2, 2)}, {"w": torch.ones(2, 2, dtype=torch.bool)}, seed=0)
    with pytest.raises(TrainingError, match="build the same network"):
        other.load_state_dict(state)
