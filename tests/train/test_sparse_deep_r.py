"""DEEP R on live synapses only: invariants after every step, against the dense rule, uniform regrowth, resume."""

import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.train.deep_r import NEWBORN, DeepR
from neuromorph.train.sparse import SparseSynapses
from neuromorph.train.sparse_deep_r import SparseDeepR
from tests.train.test_deep_r import OPTIMIZERS, seeded


def net(kind: str = "Adam", *, seed: int = 0, lr: float = 0.1, share: float = 0.3, **options) -> SparseDeepR:
    """Inputs with random signs and a recurrence under Dale's law, both with delays, in float64."""
    g = seeded(seed)
    shared = {"generator": g, "scale": 0.3, "max_delay": 5, "dtype": torch.float64}
    signs = torch.tensor([1, 1, 1, 1, 1, -1, -1])
    synapses = {
        "input": SparseSynapses.draw(5, 7, round(share * 35), seed=1, **shared),
        "recurrent": SparseSynapses.draw(7, 7, round(share * 42), seed=2, source_signs=signs, autapses=False, **shared),
    }
    source = {} if "seed_by_step" in options else {"generator": g}
    if "seed_by_step" in options:
        source = {"seed": options.pop("seed_by_step")}
    optimizer = OPTIMIZERS[kind]([projection.strength for projection in synapses.values()], lr=lr)
    return SparseDeepR(optimizer, synapses, **source, **options)


def descend(deep_r: SparseDeepR, g: torch.Generator) -> None:
    for projection in deep_r.synapses.values():
        projection.strength.grad = torch.randn(projection.strength.shape, generator=g, dtype=torch.float64)
    deep_r.step()


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(sorted(OPTIMIZERS)),
    share=st.floats(0.05, 1.0),
    l1=st.sampled_from([0.0, 0.3]),
    temperature=st.sampled_from([0.0, 0.01]),
    seed=st.integers(0, 2**31),
)
def test_count_signs_and_delays_hold_after_every_step(kind, share, l1, temperature, seed):
    deep_r, g = net(kind, seed=seed, share=share, l1=l1, temperature=temperature), seeded(seed)
    n = {name: len(projection.source) for name, projection in deep_r.synapses.items()}
    seen: dict[tuple[str, int], tuple[float, int]] = {}
    for _ in range(6):
        descend(deep_r, g)
        for name, projection in deep_r.synapses.items():
            codes = projection.codes.tolist()
            assert len(codes) == len(set(codes)) == n[name]
            assert (projection.strength > 0).all()
            for code, sign, delay in zip(codes, projection.signs.tolist(), projection.delays.tolist()):
                assert seen.setdefault((name, code), (sign, delay)) == (sign, delay)
        recurrent = deep_r.synapses["recurrent"]
        assert (recurrent.source != recurrent.target).all()
        assert recurrent.signs.tolist() == [-1 if i >= 5 else 1 for i in recurrent.source.tolist()]
    assert deep_r.n_active == sum(n.values())


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_equals_the_dense_rule_while_nothing_dies(kind):
    """Same strengths, gradients and optimizer: L1, learning rate and moments act alike."""
    sparse, g = net(kind, lr=1e-3, l1=0.1), seeded(4)
    projection = sparse.synapses["recurrent"]
    with torch.no_grad():
        projection.strength += 3
    at = projection.target.long(), projection.source.long()
    w, signs, mask = (
        torch.nn.Parameter(torch.zeros(7, 7, dtype=torch.float64)),
        torch.ones(7, 7, dtype=torch.float64),
        torch.zeros(7, 7).bool(),
    )
    with torch.no_grad():
        w[at], signs[at], mask[at] = projection.weights.detach(), projection.signs, True
    optimizer = OPTIMIZERS[kind]([w], lr=1e-3)
    dense = DeepR(optimizer, {"recurrent": w}, {"recurrent": signs}, {"recurrent": mask}, seed=0, l1=0.1, dormant_gradients="live")
    for _ in range(10):
        gradient = torch.randn(7, 7, generator=g, dtype=torch.float64)
        w.grad = gradient.clone()
        projection.strength.grad = projection.signs * gradient[at]
        dense.step()
        sparse.step()
    assert torch.allclose(w[at], projection.weights, rtol=1e-13)


@pytest.mark.parametrize("kind", ["momentum", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_moments_of_replaced_synapses_restart(kind):
    deep_r, g, born = net(kind, lr=0.3), seeded(6), 0
    for _ in range(8):
        descend(deep_r, g)
        for projection in deep_r.synapses.values():
            newborn = projection.strength == NEWBORN
            born += int(newborn.sum())
            for name, moment in deep_r.optimizer.state[projection.strength].items():
                if name != "step":
                    start = torch.tensor(0.1 if name == "sum" else 0.0, dtype=torch.float64)
                    assert (moment[newborn] == start).all()
                    assert (moment[~newborn] != start).all()
    assert born > 10


def test_regrowth_is_uniform():
    """One of 3 synapses dies in each step; 20 - 2 candidates; chi-square of 17 degrees below its 99.99 % point 48.0."""
    synapses = SparseSynapses(5, 4, torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), torch.tensor([9e9, 1e-6, 9e9]), seed=0)
    deep_r = SparseDeepR(torch.optim.SGD([synapses.strength], lr=1.0), {"w": synapses}, generator=seeded(1), l1=1.0)
    counts = torch.zeros(20)
    for _ in range(1440):
        deep_r.step()
        counts[synapses.codes[1]] += 1
    assert counts[[0, 12]].tolist() == [0, 0]
    candidates = counts[[code for code in range(20) if code not in (0, 12)]]
    assert ((candidates - 80) ** 2 / 80).sum() < 48.0


RESUMED = {"generator": {}, "seeded": {"seed_by_step": 5}}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("options", RESUMED.values(), ids=RESUMED)
def test_resumes_identically(kind, options):
    one, g = net(kind, l1=0.01, temperature=0.001, **options), seeded(5)
    for _ in range(3):
        descend(one, g)
    state, place = one.state_dict(), g.get_state()
    modules = {name: {k: v.clone() for k, v in each.state_dict().items()} for name, each in one.synapses.items()}
    for _ in range(4):
        descend(one, g)

    two = net(kind, seed=9, temperature=0.5)
    with pytest.raises(TrainingError, match="restore the modules first"):
        two.load_state_dict(state)
    for _ in range(2):
        for name, projection in two.synapses.items():
            projection.load_state_dict(modules[name])
        two.load_state_dict(state)
        h = torch.Generator()
        h.set_state(place)
        for _ in range(4):
            descend(two, h)
        for name in one.synapses:
            assert torch.equal(one.synapses[name].codes, two.synapses[name].codes)
            assert torch.equal(one.synapses[name].strength, two.synapses[name].strength)
        assert one.digest() == two.digest()


def test_digest_by_hand():
    deep_r = net()
    expected = hashlib.sha256()
    for name, shape in (("input", "(7, 5)"), ("recurrent", "(7, 7)")):
        expected.update(f"{name}\0{shape}\0".encode())
        for code in sorted(deep_r.synapses[name].codes.tolist()):
            expected.update(code.to_bytes(8, "little"))
    assert deep_r.digest() == expected.hexdigest()


def test_bad_starts_and_divergence_are_refused():
    synapses = net().synapses
    with pytest.raises(TrainingError, match="does not hold the strength of 'recurrent'"):
        SparseDeepR(torch.optim.SGD([synapses["input"].strength]), synapses, seed=0)
    with pytest.raises(TrainingError, match="must not be negative"):
        net(l1=-1.0)
    with pytest.raises(TrainingError, match="either"):
        SparseDeepR(torch.optim.SGD([synapses["input"].strength]), {"input": synapses["input"]})
    deep_r = net()
    deep_r.synapses["input"].strength.grad = torch.full_like(deep_r.synapses["input"].strength, float("nan"))
    with pytest.raises(TrainingError, match="'input' are not finite"):
        deep_r.step()
