"""Training for a chip's numbers: the rounding is `quantize`'s, gradients pass straight through, what is kept is on the grid."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends import backend
from neuromorph.compare import decisions
from neuromorph.dataset import Dataset
from neuromorph.errors import NeuromorphError, TrainingError
from neuromorph.graph import Graph, Input
from neuromorph.graph.populations import parameters
from neuromorph.grid import Grid
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.tasks.choose import load_task
from neuromorph.train import LSNN, LSNNConfig, TrainConfig, allowed_synapses, draw_masks, export, load_checkpoint, resume, train
from neuromorph.train.blocks import blocks
from neuromorph.train.loop import BEST
from neuromorph.train.quantization_aware import Rounding
from neuromorph.train.run import Run
from neuromorph.train.settings import build
from tests.train.test_resume import TINY, assert_equal_runs, interrupted

Signs: TypeAlias = dict[str, torch.Tensor]

CHIPS = {name: load_profile(name) for name in ("loihi1", "loihi2")}
FORMS: dict[str, dict[str, Any]] = {"loihi1": {"reset": "to_value", "adaptation": "current"}, "loihi2": {}}
AWARE = build(TrainConfig, {"quantization": {"profile": "loihi2", "start_epoch": 1, "grid_every": 4}}, "test", start=TINY)


def network(seed: int, dtype: torch.dtype = torch.float64, connectivity: float = 0.4, **options: Any) -> tuple[LSNN, Signs]:
    generator = torch.Generator().manual_seed(seed)
    config = LSNNConfig(**{"n_excitatory": 7, "n_inhibitory": 3, "n_adaptive": 5, "tau_m": 5e-3, "tau_out": 5e-3, **options})
    model = LSNN(config, 6, 3, generator=generator, dtype=dtype)
    signs = model.signs(generator)
    model.initialise(signs, draw_masks(allowed_synapses(model.weights()), connectivity, generator))
    return model, signs


def integers(model: LSNN, signs: Signs, grid: Grid, chip: str) -> Graph:
    return quantize(export(model, signs=signs, metadata=grid.to_metadata(CHIPS[chip].id)), CHIPS[chip])[0]


def assert_same_numbers(a: Graph, b: Graph) -> None:
    for p, q in zip(a.populations, b.populations):
        for name, array in parameters(p).items():
            assert np.array_equal(array, getattr(q, name)), (p.name, name)
    assert [q.name for q in a.projections if q.n_synapses] == [q.name for q in b.projections if q.n_synapses]
    for p in a.projections:
        if p.n_synapses:
            q = b.projection(p.name)
            assert p.weight_exp == q.weight_exp
            assert np.array_equal(p.to_dense(20), q.to_dense(20)), p.name


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    chip=st.sampled_from(list(FORMS)),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    change=st.floats(0, 0.3),
    options=st.sampled_from([{}, {"n_layers": 2}, {"tau_a": (0.05, 0.3), "input_signs": "neuron"}]),
)
def test_the_rounding_is_that_of_quantize(seed: int, chip: str, dtype: torch.dtype, change: float, options: dict[str, Any]) -> None:
    """After weights moved within the range of the grid: quantising floats, or what is rounded, gives the same integers.

    A mixed projection that happens to hold one sign is the exception: `quantize` then uses odd numbers too, so it is held
    against its rounded self only.
    """
    model, signs = network(seed, dtype, **FORMS[chip], **options)
    rounding = Rounding(model, signs, CHIPS[chip])
    with torch.no_grad():
        for weights in model.weights().values():
            weights *= 1 - change * torch.rand(weights.shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    rounded = export(rounding.update(), signs=signs)
    after = integers(rounding.rounded, signs, rounding.grid, chip)
    assert_on_grid(rounded, after)
    before = integers(model, signs, rounding.grid, chip)
    by_chance = {q.name for q in before.projections if q.sign_mode != "mixed" and _mixed(model, signs, q.name)}
    assert_same_numbers(*(g.replace(projections=tuple(q for q in g.projections if q.name not in by_chance)) for g in (before, after)))


def _mixed(model: LSNN, signs: Signs, projection: str) -> bool:
    """Whether synapses of both signs may be in a projection."""
    b = next(b for b in blocks(model) if b.projection == projection)
    found = signs[b.matrix][b.rows, b.columns]
    return bool(found.min() != found.max())


def assert_on_grid(floats: Graph, integer: Graph) -> None:
    """Every number of the floats is an integer times its unit, to the precision of float32."""
    for q in integer.projections:
        target = floats.population(q.target)
        assert not isinstance(target, Input)
        unit = 64 * 2.0**q.weight_exp / float(integer.metadata[f"scale.{q.target}"])
        assert floats.projection(q.name).weights * target.gain[q.indices] == pytest.approx(q.weights * unit, rel=1e-6)
        assert floats.projection(q.name).n_synapses == q.n_synapses, "no synapse is lost any more"


@pytest.mark.parametrize("chip", FORMS)
def test_learned_time_constants_are_rounded_too(chip: str) -> None:
    """Decays at 12 bits; gains follow, and gain times weight is on the grid."""
    model, signs = network(3, learned=("tau_m", "tau_a"), tau_a=(0.05, 0.3), **FORMS[chip])
    rounding = Rounding(model, signs, CHIPS[chip])
    with torch.no_grad():
        for raw in model.time_constants().values():
            raw += torch.linspace(-0.1, 0.1, len(raw)).to(raw)
    rounded = export(rounding.update(), signs=signs)
    after = integers(rounding.rounded, signs, rounding.grid, chip)
    assert_on_grid(rounded, after)
    wanted = export(model, signs=signs)
    for p in after.populations:
        if not isinstance(p, Input):
            for name in ("decay_v", "decay_a", "kappa"):
                if hasattr(p, name):
                    unit = 1 / 4096 if name != "kappa" else 1 / rounding.grid.scales[p.name]
                    assert getattr(rounded.population(p.name), name) / unit == pytest.approx(getattr(p, name), rel=1e-9)
                    assert np.abs(getattr(wanted.population(p.name), name) / unit - getattr(p, name)).max() <= 0.5 + 1e-9


def test_gradients_pass_straight_through_within_the_range() -> None:
    """The oracle: autograd at the rounded weights, 0 where the float weight lies beyond the largest number by half a step."""
    model, signs = network(5)
    rounding = Rounding(model, signs, CHIPS["loihi2"])
    weights = model.weights()
    beyond = {name: w.detach().abs() == w.detach().abs().max() for name, w in weights.items()}
    with torch.no_grad():
        for name, w in weights.items():
            w[beyond[name]] *= 8
    x = torch.rand((30, 4, 6), generator=torch.Generator().manual_seed(0)) < 0.3
    network_ = rounding.update()
    network_.decide(x, 5).logits.square().sum().backward()
    expected = {name: w.grad.clone() for name, w in network_.weights().items() if w.grad is not None}
    rounding.hand_back()
    assert expected.keys() == weights.keys()
    assert any(bool((expected[name][beyond[name]] != 0).any()) for name in weights)
    for name, w in weights.items():
        assert w.grad is not None
        assert torch.equal(w.grad, torch.where(beyond[name], 0.0, expected[name])), name
        assert network_.weights()[name].abs().max() < w.abs().max()


def test_synapses_between_populations_that_had_none() -> None:
    """The grid did not name their projection; they are rounded to the coarsest exponent of their target."""
    model, signs = network(7, connectivity=0.5)
    recurrent = model.weights()["recurrent"]
    kept = recurrent.detach()[:7, 7:10].clone()
    with torch.no_grad():
        recurrent[:7, 7:10] = 0
    rounding = Rounding(model, signs, CHIPS["loihi2"])
    with torch.no_grad():
        recurrent[:7, 7:10] = kept
    rounded = export(rounding.update(), signs=signs)
    assert rounding.grid.exponents["inhibitory->excitatory"] == max(
        e for name, e in rounding.grid.exponents.items() if name.endswith("->excitatory")
    )
    assert rounded.projection("inhibitory->excitatory").n_synapses
    assert_on_grid(rounded, integers(rounding.rounded, signs, rounding.grid, "loihi2"))


def test_the_model_stays_float() -> None:
    model, signs = network(9)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rounding = Rounding(model, signs, CHIPS["loihi2"])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not torch.equal(rounding.rounded.weights()["input"], model.weights()["input"])


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_task(TINY.task)


@pytest.fixture(scope="module")
def whole(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aware")
    train(AWARE, data, folder=folder, progress=False)
    return folder


@pytest.mark.parametrize("update", [2, 7, 10])
def test_resumed_runs_are_equal(update: int, data: Dataset, whole: Path, tmp_path: Path) -> None:
    """Before rounding starts (update 3), between two grids, after validation."""
    interrupted(AWARE, data, tmp_path, update)
    resume(tmp_path, data, progress=False)
    assert_equal_runs(tmp_path, whole)


def test_the_checkpoint_is_on_the_grid(data: Dataset, whole: Path) -> None:
    """Its graph quantises without loss, and the validation that chose it was that of these numbers."""
    checkpoint = load_checkpoint(whole / BEST)
    graph = checkpoint.graph()
    _, report = quantize(graph, CHIPS["loihi2"])
    assert max(p.relative_error for p in report.projections) < 1e-6
    assert report.lost == report.clipped == 0
    best = min(checkpoint.history, key=lambda line: line["validation"]["loss"])
    part = data.validation
    recording = backend("reference").run(graph, part.spikes)
    accuracy = float((decisions(recording, AWARE.training.window) == part.labels).mean())
    assert accuracy == pytest.approx(best["validation"]["accuracy"], abs=1.01 / len(part))
    assert Grid.carried_by(graph, CHIPS["loihi1"].id) == Grid()


def test_training_lowers_the_loss_of_the_rounded_network(data: Dataset) -> None:
    """Also where dormant gradients are left out: synapses that round to zero are not dormant."""
    sections = {"quantization": {"start_epoch": 0}, "deep_r": {"dormant_gradients": "live"}, "training": {"updates": 80}}
    run = Run(build(TrainConfig, sections, "test", start=AWARE), data)
    before = run.evaluate(run.deployed(), data.train).loss
    while run.update < run.updates:
        run.step()
    assert run.evaluate(run.deployed(), data.train).loss < before - 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"profile": "loihi3"}, r"Profile 'loihi3' is unknown; there are .*loihi1"),
        ({"profile": "spinnaker2"}, r"quantization.profile is 'spinnaker2', an energy reference; allowed: a chip"),
        ({"grid_every": 0}, r"quantization.grid_every is 0; allowed: above 0"),
        ({"start_epoch": -1}, r"quantization.start_epoch is -1; allowed: 0 or more"),
        ({"chip": "loihi2"}, r"'quantization.chip' is unknown"),
    ],
)
def test_impossible_settings(text: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        TrainConfig.of(quantization=text)


def test_a_form_that_the_chip_lacks_is_refused_before_training(data: Dataset) -> None:
    with pytest.raises(NeuromorphError, match=r"loihi1 cannot reset by 'subtract'.*Train with reset='to_value'"):
        Run(build(TrainConfig, {"quantization": {"profile": "loihi1"}}, "test", start=TINY), data)
