"""Large sparse LSNNs: kernel = PyTorch loop = dense LSNN = reference simulator, memory far below N x N, DEEP R, training and resume."""

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.dataset import Dataset
from neuromorph.errors import FormatError, GraphError, TrainingError
from neuromorph.graph import Graph
from neuromorph.spikes import Spikes
from neuromorph.tasks.choose import load_task
from neuromorph.train import LSNN, LSNNConfig, TrainConfig, export, resume, train
from neuromorph.train.checkpoint import load_checkpoint, save_checkpoint
from neuromorph.train.distributed import joined
from neuromorph.train.loop import BEST
from neuromorph.train.settings import build
from neuromorph.train.sparse_deep_r import SparseDeepR
from neuromorph.train.sparse_network import SparseLSNN
from neuromorph.train.state import load_state
from neuromorph.train.storage import n_live, put_synapses, synapses
from tests.train.test_distributed import free_port
from tests.train.test_resume import assert_equal_runs, interrupted
from tests.train.test_sparse import Peak

torch.set_num_threads(1)

DELAYS = {"max_input_delay": 3, "max_recurrent_delay": 4, "max_readout_delay": 6}
FORMS: list[dict[str, Any]] = [
    {},
    {"n_ref": 0},
    {**DELAYS, "n_ref": 3},
    {**DELAYS, "reset": "to_value", "adaptation": "current", "input_signs": "neuron"},
    {"learned": ("tau_m", "tau_a"), "max_recurrent_delay": 2, "surrogate": "triangle"},
    {"n_inhibitory": 0, "n_adaptive": 0, "max_input_delay": 2},
]


def network(changes: dict[str, Any], *, seed: int = 0, compiled: bool = True, share: float = 0.4, **options: Any) -> SparseLSNN:
    config = LSNNConfig(**{"n_excitatory": 12, "n_inhibitory": 5, "n_adaptive": 7, **changes})
    given: dict[str, Any] = {"connectivity": share, "dtype": torch.float64, **options}
    return SparseLSNN(config, 9, 4, generator=torch.Generator().manual_seed(seed), compiled=compiled, **given)


def spikes(seed: int, steps: int = 50, batch: int = 35, n_in: int = 9, rate: float = 0.12) -> Tensor:
    return torch.rand(steps, batch, n_in, generator=torch.Generator().manual_seed(seed)) < rate


def results(model: Callable[..., Any], x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
    """Spikes, further outputs, and a loss of all."""
    y, z = model(x)
    decision, frames = model.decide(x, 7, True), model.frames(x)  # pyright: ignore[reportFunctionMemberAccess]
    loss = decision.logits.square().sum() + 3 * decision.rates.sum() + 9 * decision.overshoot.sum() + 100 * frames.y.square().mean()
    return z, [y, *decision, frames.y, frames.rates], loss + y.square().mean() + 1e-3 * z.sum()


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> bool:
    return torch.allclose(a, b, rtol=0, atol=tolerance * max(float(b.detach().abs().max()) if b.numel() else 0.0, 1e-12))


def matrices(model: SparseLSNN) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights and delays [n_target, n_source], one synapse after the other."""
    weights, delays = dict[str, Tensor](), dict[str, Tensor]()
    for name, p in model.projections().items():
        weights[name], delays[name] = torch.zeros(p.n_target, p.n_source, dtype=torch.float64), torch.ones(p.n_target, p.n_source).long()
        for i, j, w, d in zip(p.source.tolist(), p.target.tolist(), p.weights.tolist(), p.delays.tolist()):
            weights[name][j, i], delays[name][j, i] = w, d
    return weights, delays


def dense(model: SparseLSNN) -> LSNN:
    """A dense LSNN with the same weights and delays, run by PyTorch's loop."""
    generator = torch.Generator().manual_seed(99)
    found = LSNN(model.config, model.n_in, model.n_out, dt=model.dt, generator=generator, dtype=torch.float64, compiled=False)
    weights, delays = matrices(model)
    layer = found.layers()[""]
    layer.input_delays, layer.recurrent_delays, found.readout_delays = delays["input"], delays["recurrent"], delays["readout"]
    with torch.no_grad():
        for name, matrix in found.weights().items():
            matrix.copy_(weights[name])
    return found


# ---- what it computes


@pytest.mark.parametrize("changes", FORMS, ids=str)
@pytest.mark.parametrize("analog", [False, True])
def test_kernel_equals_the_loop(changes: dict[str, Any], analog: bool) -> None:
    x = spikes(1).double() * (0.5 if analog else 1.0)
    found = []
    for compiled in (True, False):
        model = network(changes, compiled=compiled)
        z, outputs, loss = results(model, x)
        loss.backward()
        found.append((z, outputs, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}))
    (z, outputs, gradients), (expected, wanted, exact) = found
    assert 0.005 < expected.mean() < 0.3
    assert torch.equal(z, expected)
    assert all(close(a, b) for a, b in zip(outputs, wanted))
    for name in exact:
        assert exact[name].abs().max() > 0, name
        assert close(gradients[name], exact[name]), name


@settings(max_examples=12, deadline=None)
@given(changes=st.sampled_from(FORMS), seed=st.integers(0, 2**31), share=st.sampled_from([0.05, 0.3, 1.0]))
def test_equals_the_dense_network(changes: dict[str, Any], seed: int, share: float) -> None:
    """Same spikes and outputs; the gradient of each live strength is that of its entry of the matrix, times its sign."""
    model = network(changes, seed=seed, share=share)
    other, x = dense(model), spikes(seed + 1, steps=25, batch=5)
    (z, outputs, loss), (expected, wanted, total) = results(model, x), results(other, x)
    assert torch.equal(z, expected)
    assert all(close(a, b) for a, b in zip(outputs, wanted))
    loss.backward()
    total.backward()
    for name, p in model.projections().items():
        gradient = other.weights()[name].grad
        assert p.strength.grad is not None
        assert gradient is not None
        assert close(p.strength.grad, p.signs * gradient[p.target.long(), p.source.long()])
    for name, raw in model.time_constants().items():
        assert close(raw.grad, other.time_constants()[name].grad)  # pyright: ignore[reportArgumentType]


def test_starts_sparse_signed_and_scaled() -> None:
    """The share asked for, Dale's law, no autapses; weights of the size and balance of `LSNN.initialise`."""
    config = LSNNConfig(200, 60, 140, input_signs="neuron", **DELAYS)
    generator = torch.Generator().manual_seed(3)
    shares = {"input": 0.2, "recurrent": 0.1, "readout": 0.5}
    model = SparseLSNN(config, 60, 10, connectivity=shares, generator=generator, dtype=torch.float64, hidden_scale=0.5)
    other = LSNN(config, 60, 10, generator=generator, dtype=torch.float64)
    signs = other.signs(generator)
    other.initialise(signs, {n: torch.rand(w.shape, generator=generator) < shares[n] for n, w in other.weights().items()}, hidden_scale=0.5)
    n = {"input": 0.2 * 60 * 400, "recurrent": 0.1 * 400 * 399, "readout": 0.5 * 400 * 10}
    for name, p in model.projections().items():
        assert len(p.source) == round(n[name])
        assert p.delays.min() == 1
        assert p.delays.max() == DELAYS[f"max_{name}_delay"]
        w, expected = p.weights.detach(), other.weights()[name].detach()
        for sign in (1, -1):
            mine, theirs = w[w * sign > 0], expected[expected * sign > 0]
            assert abs(mine.square().mean().sqrt() / theirs.square().mean().sqrt() - 1) < 0.1
        assert abs(w.sum()) < 1e-9 * w.abs().sum()
        assert torch.equal(p.source_signs == 1, signs[name][0] == 1) or name == "input"
    recurrent = model.projections()["recurrent"]
    assert (recurrent.source != recurrent.target).all()
    assert int((model.projections()["input"].source_signs == -1).sum()) == 15
    assert network({}).projections()["input"].source_signs is None


def test_refractory_neurons_are_silent() -> None:
    model = network({"n_ref": 5}, share=1.0)
    with torch.no_grad():
        model.projections()["input"].strength.mul_(20)
        _, z = model(spikes(0, rate=0.5))
    assert z.sum(0).max() > 5
    assert all(not (z[t] * z[t + late]).any() for late in range(1, 6) for t in range(len(z) - late))


def test_a_spike_needs_its_delay() -> None:
    """One synapse of weight 100 thresholds: the only input spike of step 2 fires its target `delay` steps later."""
    model = network({**DELAYS, "n_ref": 0})
    inputs, recurrent, _ = model.projections().values()
    with torch.no_grad():
        inputs.strength.zero_()
        recurrent.strength.zero_()
        place = int((inputs.signs > 0).nonzero()[(inputs.delays[inputs.signs > 0] == 3).nonzero()[0]])
        inputs.strength[place] = 1.0
        x = torch.zeros(10, 1, 9)
        x[2, 0, int(inputs.source[place])] = 1
        _, z = model(x)
    assert z[:, 0, int(inputs.target[place])].nonzero()[0].tolist() == [5]


@pytest.mark.parametrize(("change", "told"), [({"n_layers": 2}, "n_layers = 2"), ({"bidirectional": True}, "bidirectional = True")])
def test_other_shapes_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        network(change)


@pytest.mark.parametrize("shares", [0.0, 1.5, {"input": 0.1}, {"input": 0.1, "recurrent": 0.1, "readout": 0.0}])
def test_impossible_connectivity_is_refused(shares: Any) -> None:
    with pytest.raises(TrainingError, match="connectivity"):
        network({}, share=shares)


# ---- size


def test_memory_of_five_thousand_neurons() -> None:
    """Training steps and an export; one matrix N x N is 100 MB in float32, and Adam on it needs four."""

    def work(n: int) -> tuple[SparseLSNN, Graph]:
        config = LSNNConfig(n - 1500, 1000, 500, max_recurrent_delay=3)
        model = SparseLSNN(config, 50, 5, connectivity=0.004, generator=torch.Generator().manual_seed(0))
        deep_r = SparseDeepR(torch.optim.Adam(model.strengths().values()), model.projections(), seed=0)
        for _ in range(2):
            deep_r.zero_grad()
            model.decide(spikes(0, steps=20, batch=4, n_in=50), 5).logits.square().sum().backward()
            deep_r.step()
        return model, export(model)

    work(1600)  # what is loaded and compiled once
    with Peak() as peak:
        model, graph = work(5000)
    assert graph.n_synapses == n_live(model) == 1000 + 99980 + 100
    assert max(p.numel() for p in (*model.parameters(), *model.buffers())) == 99980
    print(peak.megabytes)
    assert peak.megabytes < 50


# ---- DEEP R


def test_learns_under_deep_r() -> None:
    """Which of two groups of inputs fires, by the number of synapses and signs of the start, rewired."""
    model = network({"n_ref": 2}, share=0.3, dtype=torch.float32)
    optimizer = torch.optim.Adam(model.strengths().values(), lr=5e-3)
    deep_r = SparseDeepR(optimizer, model.projections(), seed=0, l1=1e-2, temperature=1e-7)
    before, n, signs = synapses(model), n_live(model), [p.source_signs for p in model.projections().values()]
    labels, losses = torch.arange(32) % 2, list[float]()
    for step in range(40):
        x = spikes(step, steps=30, batch=32, rate=0.3)
        x[:, labels == 0, :4] = x[:, labels == 1, 4:] = False
        deep_r.zero_grad()
        loss = cross_entropy(10 * model.decide(x, 5).logits, labels)
        loss.backward()
        losses.append(float(loss.detach()))
        deep_r.step()
        assert n_live(model) == deep_r.n_active == n
        assert all(bool((p.strength > 0).all()) for p in model.projections().values())
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert not torch.equal(before["recurrent.target"], synapses(model)["recurrent.target"])
    assert all(a is b for a, b in zip(signs, [p.source_signs for p in model.projections().values()]))
    put_synapses(model, before)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), synapses(model).values()))


# ---- export


@pytest.mark.parametrize("changes", FORMS, ids=str)
def test_the_graph_runs_as_the_model(changes: dict[str, Any]) -> None:
    """Reference simulator: float64, spike for spike, y to 1e-12; synapses, signs and delays are those of the dense export."""
    model = network(changes)
    with torch.no_grad():
        for raw in model.time_constants().values():
            raw += torch.randn(raw.shape, generator=torch.Generator().manual_seed(1))
    x, graph = spikes(2, batch=3).double(), export(model, metadata={"task": "none"})
    recording = ReferenceBackend().run(graph, Spikes.from_dense(x.numpy(), model.dt))
    with torch.no_grad():
        y, z = model(x)
    assert z.any()
    hidden = [p.name for p in model.config.populations(model.dt)]
    np.testing.assert_array_equal(np.concatenate([recording.spikes[name].to_dense() for name in hidden], axis=2), z.numpy())
    np.testing.assert_allclose(recording.readouts["readout"], y, rtol=0, atol=1e-12)
    assert graph.metadata == {"task": "none"}
    other = dense(model)
    weights, _ = matrices(model)
    signs = {name: torch.where(w < 0, -1.0, 1.0) for name, w in weights.items()}
    for p in export(other, signs=signs).projections:
        mine = graph.projection(p.name)
        for field in ("indptr", "indices", "weights", "delays", "signs"):
            np.testing.assert_array_equal(getattr(mine, field), getattr(p, field))


def test_a_weight_against_its_sign_is_not_exported() -> None:
    model = network({})
    with torch.no_grad():
        model.projections()["recurrent"].strength[3] = -1
    with pytest.raises(GraphError, match="sign"):
        export(model)


# ---- in the training loop

LIVE = TrainConfig.of(
    task={"encoding": {"n_thresholds": 2, "cue_steps": 3}, "train": 40, "validation": 16, "test": 16},
    network={"n_excitatory": 12, "n_inhibitory": 4, "n_adaptive": 8, "max_recurrent_delay": 2, "learned": ["tau_a"]},
    deep_r={"storage": "live", "connectivity": 0.3, "temperature": 1e-7, "constraint": "projection", "dormant_gradients": "live"},
    optimizer={"warm_up": 2},
    training={"epochs": 4, "batch": 16, "window": 3, "evaluate_every": 5, "log_every": 2, "initial_scale": 1.0},
)
EXACT = build(TrainConfig, {"training": {"dtype": "float64", "epochs": 2, "digest_every": 2}}, "test", start=LIVE)
N_LIVE = round(0.3 * 5 * 24) + round(0.3 * 24 * 23) + round(0.3 * 24 * 10)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_task(LIVE.task)


@pytest.fixture(scope="module")
def whole(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    result = train(LIVE, data, folder=folder, progress=False)
    assert isinstance(result.model, SparseLSNN)
    assert result.n_active == result.requested_synapses == N_LIVE
    assert {record.n_active for record in result.history} == {N_LIVE}
    assert result.graph().n_synapses == result.initial_graph().n_synapses == N_LIVE
    return folder


@pytest.mark.parametrize("update", [1, 7, 12])
def test_resumed_runs_are_equal(update: int, data: Dataset, whole: Path, tmp_path: Path) -> None:
    interrupted(LIVE, data, tmp_path, update)
    resume(tmp_path, data, progress=False)
    assert_equal_runs(tmp_path, whole)


def work(rank: int, port: int, folder: Path) -> None:
    """One of two ranks."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    with joined() as ranks:
        train(EXACT, load_task(EXACT.task), folder=folder, progress=False, ranks=ranks)


def test_two_processes_do_what_one_does(data: Dataset, tmp_path: Path) -> None:
    """The same live synapses, strengths to 1e-12."""
    train(EXACT, data, folder=tmp_path / "one", progress=False)
    context, port = multiprocessing.get_context("forkserver" if torch.cuda.is_available() else "fork"), free_port()
    processes = [context.Process(target=work, args=(rank, port, tmp_path / "two"), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=100)
        process.kill()
    one, two = (load_state(tmp_path / name) for name in ("one", "two"))
    assert one["deep_r"]["digest"] == two["deep_r"]["digest"]
    for key, expected in one["model"].items():
        torch.testing.assert_close(two["model"][key], expected, rtol=1e-12, atol=1e-12)


def test_training_lowers_the_loss(data: Dataset, whole: Path) -> None:
    first, *_, last = [json.loads(line) for line in (whole / "history.jsonl").read_text().splitlines()]
    assert last["train"]["loss"] < first["train"]["loss"]


def test_checkpoint_round_trip(data: Dataset, whole: Path, tmp_path: Path) -> None:
    """The file gives the same bytes and a model with the same spikes; what was there before training differs from what is there now."""
    found = load_checkpoint(whole / BEST)
    save_checkpoint(tmp_path / BEST, found)
    assert (tmp_path / BEST).read_bytes() == (whole / BEST).read_bytes()
    assert isinstance(found.model, SparseLSNN)
    model = found.model.double()
    x = torch.from_numpy(data.test.dense(range(5)))
    recording = ReferenceBackend().run(found.graph(), Spikes.from_dense(x.numpy(), model.dt))
    with torch.no_grad():
        _, z = model(x)
    hidden = [p.name for p in model.config.populations(model.dt)]
    np.testing.assert_array_equal(np.concatenate([recording.spikes[name].to_dense() for name in hidden], axis=2), z.numpy())
    assert z.any()
    assert found.graph().digest() != found.initial_graph().digest()
    assert found.initial_graph().n_synapses == N_LIVE


@pytest.mark.parametrize(
    ("part", "name", "value", "told"),
    [
        ("model", "synapses.recurrent.target", 24, "target reaches"),
        ("model", "synapses.input.strength", float("inf"), "finite"),
        ("initial", "readout.source", -1, "source reaches"),
        ("initial", "", 0, "names and shapes"),
    ],
)
def test_damaged_contents_are_refused(part: str, name: str, value: float, told: str, whole: Path, tmp_path: Path) -> None:
    """Whole files with a right SHA-256 whose contents are impossible."""
    found = load_checkpoint(whole / BEST)
    tensors = found.model.state_dict() if part == "model" else found.initial
    if name:
        tensors[name].flatten()[0] = value
    else:
        found.initial.pop("input.source")  # pyright: ignore[reportAttributeAccessIssue]
    save_checkpoint(tmp_path / BEST, found)
    with pytest.raises(FormatError, match=told):
        load_checkpoint(tmp_path / BEST)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"deep_r": {"method": "soft", "temperature": 1e-6}}, "deep_r.method is 'soft'"),
        ({"deep_r": {"constraint": "global"}}, "deep_r.constraint is 'global'.*set it to 'projection'"),
        ({"deep_r": {"dormant_gradients": "dense"}}, "deep_r.dormant_gradients is 'dense'"),
        ({"deep_r": {"final_connectivity": 0.1, "ramp_last": 5}}, "deep_r.final_connectivity is 0.1.*leave it out"),
        ({"network": {"n_layers": 2}}, "one hidden layer"),
        ({"quantization": {"profile": "loihi2"}}, "quantization.profile is 'loihi2'"),
        ({"training": {"device": "cuda"}}, "training.device is 'cuda'.*cpu"),
    ],
)
def test_what_live_storage_does_not_know_is_refused(sections: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        build(TrainConfig, sections, "mine.toml", start=LIVE)
