"""Sparse projections: against dense matrices, the hash in plain Python, uniform draws, a net of 20,000 neurons."""

import itertools
import math
import threading
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.train.delays import delayed_linear
from neuromorph.train.sparse import SparseSynapses, contains, draw_pairs, pair_hash
from neuromorph.train.sparse_deep_r import SparseDeepR

NOTHING = torch.empty(0, dtype=torch.int64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(n_source=6, n_target=5, n=12, *, seed=0, dtype=torch.float64, **options) -> SparseSynapses:
    return SparseSynapses.draw(n_source, n_target, n, generator=seeded(seed), scale=1.0, seed=seed, dtype=dtype, **options)


def dense(synapses: SparseSynapses) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and delays as matrices [n_target, n_source], one synapse after the other."""
    weights, delays = (
        torch.zeros(synapses.n_target, synapses.n_source, dtype=torch.float64),
        torch.ones(synapses.n_target, synapses.n_source).long(),
    )
    for i, j, s, theta, d in zip(synapses.source, synapses.target, synapses.signs, synapses.strength.detach(), synapses.delays):
        weights[j, i], delays[j, i] = s * theta, d
    return weights, delays


# ---- forward and backward


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    share=st.floats(0, 1),
    max_delay=st.integers(1, 5),
    n_steps=st.integers(1, 7),
    dale=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_equals_the_dense_matrix(sizes, share, max_delay, n_steps, dale, seed):
    """Output, gradient of the strengths and gradient of the input, with delays."""
    n_source, n_target = sizes
    signs = torch.randint(0, 2, (n_source,), generator=seeded(seed)) * 2 - 1 if dale else None
    synapses = drawn(n_source, n_target, round(share * n_source * n_target), seed=seed, source_signs=signs, max_delay=max_delay)
    matrix, delays = dense(synapses)
    matrix.requires_grad_()
    g = seeded(seed + 1)
    x = torch.randn(n_steps, 3, n_source, generator=g, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    weigh = torch.randn(n_steps, 3, n_target, generator=g, dtype=torch.float64)
    found, expected = synapses(x), delayed_linear(y, matrix, delays)
    assert torch.allclose(found, expected, rtol=1e-13, atol=1e-14)
    assert torch.allclose(synapses.arriving(x), expected[-1], rtol=1e-13, atol=1e-14)
    (found * weigh).sum().backward()
    (expected * weigh).sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=1e-12, atol=1e-13)
    by_synapse = synapses.signs * matrix.grad[synapses.target.long(), synapses.source.long()]
    if len(by_synapse):
        assert torch.allclose(synapses.strength.grad, by_synapse, rtol=1e-12, atol=1e-13)


def test_blocks_change_nothing(monkeypatch):
    synapses, x = drawn(30, 20, 200, max_delay=3), torch.randn(6, 4, 30, generator=seeded(1), dtype=torch.float64)

    def outcome() -> tuple[torch.Tensor, torch.Tensor]:
        synapses.zero_grad()
        out = synapses(x)
        out.square().sum().backward()
        return out.detach(), synapses.strength.grad.clone()

    whole = outcome()
    monkeypatch.setattr("neuromorph.train.sparse.BLOCK", 50)
    for one, two in zip(whole, outcome()):
        assert torch.allclose(one, two, rtol=1e-13)


# ---- fixed signs and delays


def hash_by_hand(seed: int, source: int, target: int, purpose: int) -> int:
    h = 0
    for value in (seed % 2**32, purpose, source, target):
        h = (h + value + 0x9E3779B9) % 2**32
        h ^= h >> 16
        h = h * 0x21F0AAAD % 2**32
        h ^= h >> 15
        h = h * 0x735A2D97 % 2**32
        h ^= h >> 15
    return h


@given(seed=st.integers(0, 2**63), source=st.integers(0, 2**31 - 1), target=st.integers(0, 2**31 - 1), purpose=st.integers(0, 1))
def test_hash_in_plain_python(seed, source, target, purpose):
    ends = torch.tensor([source], dtype=torch.int32), torch.tensor([target], dtype=torch.int32)
    assert pair_hash(seed, *ends, purpose).tolist() == [hash_by_hand(seed, source, target, purpose)]


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_delays_and_signs_are_uniform_and_independent(seed):
    """All pairs of 200 x 200 neurons in 2 x 10 bins: chi-square of 19 degrees below its 99.99 % point 50.8; rows and columns too."""
    n = 200
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    synapses = SparseSynapses(n, n, *pairs.t(), torch.ones(n * n), seed=seed, max_delay=10)
    assert 1 <= synapses.delays.min() <= synapses.delays.max() <= 10
    bins = (synapses.delays - 1) + 10 * (synapses.signs > 0).long()
    assert chi_square(torch.bincount(bins, minlength=20)) < 50.8
    means = synapses.delays.view(n, n).double()
    for axis in (0, 1):  # variance of the mean of 200 delays: 8.25 / 200
        assert means.mean(axis).var().item() == pytest.approx(8.25 / n, rel=5 * math.sqrt(2 / n))


def chi_square(counts: torch.Tensor) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def test_dale_signs_follow_the_source():
    signs = torch.tensor([1, -1, 1, 1, -1, 1])
    synapses = drawn(n=30, source_signs=signs)
    assert synapses.signs.tolist() == signs[synapses.source.long()].tolist()
    assert torch.equal(synapses.weights, synapses.signs * synapses.strength)


# ---- draws


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    share=st.floats(0, 1),
    wanted=st.floats(0, 1),
    autapses=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_pairs_are_new_distinct_and_allowed(sizes, share, wanted, autapses, seed):
    n_source, n_target = sizes
    everything = {j * n_source + i for i, j in itertools.product(range(n_source), range(n_target)) if autapses or i != j}
    live = draw_pairs(n_source, n_target, round(share * len(everything)), NOTHING, seeded(seed), autapses=autapses).sort().values
    free = everything - set(live.tolist())
    n = round(wanted * len(free))
    codes = draw_pairs(n_source, n_target, n, live, seeded(seed + 1), autapses=autapses).tolist()
    assert len(codes) == len(set(codes)) == n
    assert set(codes) <= free
    with pytest.raises(TrainingError, match=f"{len(free)} pairs are free"):
        draw_pairs(n_source, n_target, len(free) + 1, live, seeded(seed), autapses=autapses)


def test_draws_are_uniform():
    """4 x 5 neurons, 7 live, no autapses: ordered pairs of the 9 free codes, each of 72 equally often (chi-square below 99.99 %: 123.4)."""
    live = torch.tensor([1, 2, 4, 6, 9, 11, 12])
    free = [code for code in range(20) if code % 4 != code // 4 and code not in live]
    assert len(free) == 9
    cells, g = {pair: k for k, pair in enumerate(itertools.permutations(free, 2))}, seeded(3)
    counts = torch.zeros(len(cells))
    for _ in range(2160):
        counts[cells[tuple(draw_pairs(4, 5, 2, live, g, autapses=False).tolist())]] += 1
    assert chi_square(counts) < 123.4


def test_draws_from_many_pairs_are_uniform():
    """A range that is no power of two and large: 64 bins of equal width."""
    codes = draw_pairs(60_000, 50_000, 100_000, NOTHING, seeded(1))
    assert chi_square(torch.bincount(codes // (60_000 * 50_000 // 64 + 1), minlength=64)) < 121  # 99.999 % point, 63 degrees


@given(st.sets(st.integers(0, 50)), st.lists(st.integers(0, 50), min_size=1))
def test_contains(live, codes):
    found = contains(torch.tensor(sorted(live), dtype=torch.int64), torch.tensor(codes))
    assert found.tolist() == [code in live for code in codes]


# ---- what is refused


def test_bad_projections_are_refused():
    def build(source=(0, 1), target=(1, 2), strength=(1.0, 2.0), n_source=3, **options):
        return SparseSynapses(n_source, 3, torch.tensor(source), torch.tensor(target), torch.tensor(strength), seed=0, **options)

    build()
    for wrong, message in (
        ({"source": (0, 3)}, "source reaches 0..3"),
        ({"target": (-1, 2)}, "target reaches -1..2"),
        ({"source": (1, 1), "target": (2, 2)}, "twice"),
        ({"strength": (1.0, -1.0)}, ">= 0"),
        ({"strength": (1.0, float("nan"))}, ">= 0"),
        ({"source": (1, 1), "autapses": False}, "itself"),
        ({"max_delay": 0}, "at least 1"),
        ({"source_signs": torch.tensor([1, -1])}, "3 numbers"),
        ({"source_signs": torch.tensor([1, -1, 0])}, "3 numbers"),
    ):
        with pytest.raises(TrainingError, match=message):
            build(**wrong)


# ---- size


def test_twenty_thousand_neurons():
    """400,000 of 4e8 pairs: built, run, differentiated and rewired in under 2 s and 100 MB; a dense matrix would need 1.6 GB."""
    n, k = 20_000, 400_000
    with Peak() as peak:
        start = time.process_time()
        signs = torch.where(torch.arange(n) < 16_000, 1, -1)
        options = {"source_signs": signs, "max_delay": 4, "autapses": False}
        synapses = SparseSynapses.draw(n, n, k, generator=seeded(0), scale=0.1, seed=1, **options)
        deep_r = SparseDeepR(torch.optim.Adam([synapses.strength], lr=0.01), {"recurrent": synapses}, seed=2, l1=0.1)
        x = (torch.rand(2, 1, n, generator=seeded(5)) < 0.05).float()
        before = synapses.codes
        for _ in range(3):
            deep_r.zero_grad()
            synapses(x).square().mean().backward()
            deep_r.step()
        seconds = time.process_time() - start
    assert len(synapses.codes.unique()) == k
    assert not torch.equal(before, synapses.codes)
    assert not (synapses.source == synapses.target).any()
    assert seconds < 2
    assert peak.megabytes < 100


class Peak:
    """Largest growth of this process's resident memory inside the block [MB = 1e6 bytes], sampled every millisecond (Linux)."""

    megabytes = 0.0

    def __enter__(self) -> "Peak":
        self._start, self._done = resident(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(1e-3):
            self.megabytes = max(self.megabytes, (resident() - self._start) / 1e6)


def resident() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0
