"""The training loop: BPTT with Adam, DEEP R, firing-rate regularisation, best validation epoch, checkpoints."""

import contextlib
import copy
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from neuromorph.dataset import Dataset, Samples
from neuromorph.errors import TrainingError
from neuromorph.graph import Graph
from neuromorph.graph.populations import Adaptation, Reset
from neuromorph.train.checkpoint import Checkpoint, save_checkpoint
from neuromorph.train.deep_r import DeepR, allowed_synapses, draw_masks
from neuromorph.train.losses import mean_readout, rate_regulariser, readout_cross_entropy
from neuromorph.train.network import LSNN, LSNNConfig

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class TrainArgs:
    """Everything that decides a training run besides the data. Times in seconds, rates in Hz; defaults are the demo's.

    `initial_scale`: how far potentials wander before training, in thresholds; `window`: last steps over which the
    readout is averaged; `logit_scale`: factor that makes logits of it (filtered spikes are small numbers);
    `input_dropout`: share of input spikes left out at random in training; `rate_weight`, `rate_target_hz`: firing-rate
    regulariser; `clip`: largest gradient norm; `warm_up`: updates over which the learning rate rises before its cosine
    decay to 2 % of `lr`; `threads`: of torch (the compiled kernel takes one a processor).
    """

    n_excitatory: int = 60
    n_inhibitory: int = 20
    n_adaptive: int = 20
    tau_m: float = 5e-3
    tau_a: float | tuple[float, float] = (50e-3, 150e-3)
    tau_out: float = 5e-3
    beta: float = 1.8
    v_th: float = 0.01
    n_ref: int = 2
    gamma: float = 0.3
    surrogate: str = "bellec"
    reset: Reset = "subtract"
    adaptation: Adaptation = "threshold"
    max_input_delay: int = 16
    max_readout_delay: int = 62
    connectivity: float = 0.2
    initial_scale: float = 0.2
    epochs: int = 80
    batch: int = 32
    lr: float = 1e-2
    warm_up: int = 40
    clip: float = 1.0
    l1: float = 1e-3
    temperature: float = 0.0
    rate_target_hz: float = 30.0
    rate_weight: float = 1.0
    window: int = 5
    logit_scale: float = 10.0
    input_dropout: float = 0.1
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "lr", "clip", "window", "logit_scale", "initial_scale", "threads"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"TrainArgs: {name} is {getattr(self, name)}; it must be positive.")
        for name in ("warm_up", "l1", "temperature", "rate_target_hz", "rate_weight", "input_dropout"):
            if not getattr(self, name) >= 0:
                raise TrainingError(f"TrainArgs: {name} is {getattr(self, name)}; it must not be negative.")

    def config(self, n_in: int, n_out: int, dt: float) -> LSNNConfig:
        """The network's configuration for data of that size and step length."""
        shared = LSNNConfig.__dataclass_fields__.keys() & asdict(self).keys()
        return LSNNConfig(n_in=n_in, n_out=n_out, dt=dt, **{name: getattr(self, name) for name in shared})


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (share of samples), cross entropy [nat] and mean hidden firing rate [Hz] on one part of the data."""

    accuracy: float
    loss: float
    rate_hz: float


@dataclass(frozen=True)
class Epoch:
    """One line of the history: means over the epoch's training batches, and the validation part after it."""

    epoch: int
    train: Evaluation
    validation: Evaluation
    lr: float
    n_active: int


@dataclass(frozen=True, eq=False)
class TrainResult:
    """The checkpoint of the best validation epoch, and how it came about.

    `test`: its model on the test part, which decided nothing. `requested_synapses`: active synapses asked for by
    `connectivity`. `seconds`: wall time of training.
    """

    checkpoint: Checkpoint
    history: tuple[Epoch, ...]
    best_epoch: int
    test: Evaluation
    requested_synapses: int
    seconds: float

    @property
    def model(self) -> LSNN:
        return self.checkpoint.model

    @property
    def n_active(self) -> int:
        """Active synapses over all matrices."""
        return sum(int(mask.sum()) for mask in self.checkpoint.masks.values())

    def graph(self) -> Graph:
        """The trained network as a sparse float graph."""
        return self.checkpoint.graph()

    def initial_graph(self) -> Graph:
        """The network before training."""
        return self.checkpoint.initial_graph()


def train(args: TrainArgs, data: Dataset, *, path: Path | None = None, progress: bool = True) -> TrainResult:
    """Train an LSNN on `data`; with `path`, the best model so far is saved there after each epoch (atomically).

    Equal arguments and data give equal results on one machine with one thread count. Torch's global generator is not used.

    Raises:
        TrainingError: an argument is out of range, or the loss is no longer finite.
    """
    start = time.perf_counter()
    with torch_threads(args.threads), _progress(progress, args.epochs) as bar:
        generator = torch.Generator().manual_seed(args.seed)
        model, deep_r = prepare(args, data, generator)
        initial = {name: weights.detach().clone() for name, weights in deep_r.weights.items()}
        updates = args.epochs * math.ceil(len(data.train) / args.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(deep_r.optimizer, lambda update: learning_rate(update, updates, args.warm_up))
        x, labels = tensors(data.train, model)
        history: list[Epoch] = []
        best = copy.deepcopy(model)
        for number in range(1, args.epochs + 1):
            trained = _epoch(number, args, model, deep_r, schedule, x, labels, generator)
            validation = evaluate(model, data.validation, args.window, args.logit_scale)
            n_active = sum(int(mask.sum()) for mask in deep_r.masks().values())
            history.append(Epoch(number, trained, validation, float(schedule.get_last_lr()[0]), n_active))
            if _best(history) == number:
                best = copy.deepcopy(model)
            if path is not None:
                save_checkpoint(path, _checkpoint(best, deep_r.signs, initial, args, data, history))
            _show(bar, history)
        test = evaluate(best, data.test, args.window, args.logit_scale)
    checkpoint = _checkpoint(best, deep_r.signs, initial, args, data, history)
    return TrainResult(checkpoint, tuple(history), _best(history), test, deep_r.n_active, time.perf_counter() - start)


def prepare(args: TrainArgs, data: Dataset, generator: torch.Generator) -> tuple[LSNN, DeepR]:
    """A fresh sparse network and Adam under DEEP R."""
    part = data.train
    model = LSNN(args.config(part.n_neurons, data.n_classes, part.dt), generator=generator)
    signs = model.signs(generator)
    masks = draw_masks(allowed_synapses(model.weights()), args.connectivity, generator)
    model.initialise(signs, masks, hidden_scale=args.initial_scale)
    optimizer = torch.optim.Adam(model.weights().values(), lr=args.lr)
    deep_r = DeepR(optimizer, model.weights(), signs, masks, generator=generator, l1=args.l1, temperature=args.temperature)
    return model, deep_r


def learning_rate(update: int, updates: int, warm_up: int) -> float:
    """Factor on the learning rate: linear rise over `warm_up` updates, times a cosine decay from 1 to 0.02."""
    return min(1.0, (update + 1) / (warm_up + 1)) * (0.02 + 0.49 * (1 + math.cos(math.pi * update / updates)))


def tensors(part: Samples, model: LSNN) -> tuple[Float[Tensor, "steps samples n_in"], Int[Tensor, " samples"]]:
    """Dense spikes in the model's number type, and labels."""
    weights = model.weights()["input"]
    return torch.from_numpy(part.dense(np.arange(len(part)))).to(weights), torch.tensor(part.labels, device=weights.device)


@torch.no_grad()
def evaluate(model: LSNN, part: Samples, window: int, logit_scale: float = 1.0) -> Evaluation:
    """The model on one part of the data. The decision is the largest readout averaged over the last `window` steps."""
    x, labels = tensors(part, model)
    correct = loss = spikes = 0.0
    for chosen in torch.arange(len(labels)).split(EVALUATION_BATCH):
        y, z = model(x[:, chosen])
        correct += _correct(y, labels[chosen], window)
        loss += float(readout_cross_entropy(logit_scale * y, labels[chosen], window)) * len(chosen)
        spikes += float(z.mean()) * len(chosen)
    n = max(len(labels), 1)
    return Evaluation(correct / n, loss / n, spikes / n / model.config.dt)


def _epoch(
    number: int,
    args: TrainArgs,
    model: LSNN,
    deep_r: DeepR,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    x: Float[Tensor, "steps samples n_in"],
    labels: Int[Tensor, " samples"],
    generator: torch.Generator,
) -> Evaluation:
    """One pass over the training part in random order."""
    correct = loss = spikes = 0.0
    for update, chosen in enumerate(torch.randperm(len(labels), generator=generator).split(args.batch)):
        spikes_in = x[:, chosen]
        if args.input_dropout:
            spikes_in = spikes_in * (torch.rand(spikes_in.shape, generator=generator) >= args.input_dropout)
        y, z = model(spikes_in)
        error = readout_cross_entropy(args.logit_scale * y, labels[chosen], args.window)
        total = error + args.rate_weight * rate_regulariser(z, args.rate_target_hz, model.config.dt)
        if not torch.isfinite(total):
            raise TrainingError(
                f"Training diverged: loss {total.item()} in epoch {number}, batch {update}; lower lr ({args.lr}) or clip ({args.clip})."
            )
        deep_r.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(list(deep_r.weights.values()), args.clip, error_if_nonfinite=False)
        deep_r.step()
        schedule.step()
        correct += _correct(y.detach(), labels[chosen], args.window)
        loss += float(error.detach()) * len(chosen)
        spikes += float(z.detach().mean()) * len(chosen)
    return Evaluation(correct / len(labels), loss / len(labels), spikes / len(labels) / model.config.dt)


def _correct(y: Float[Tensor, "steps batch classes"], labels: Int[Tensor, " batch"], window: int) -> int:
    return int((mean_readout(y, window).argmax(1) == labels).sum())


def _best(history: list[Epoch]) -> int:
    """Number of the epoch with the lowest validation loss, which is less of a lottery than accuracy on few samples."""
    return min(history, key=lambda epoch: epoch.validation.loss).epoch


def _active(model: LSNN, signs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: signs[name] * w.detach() > 0 for name, w in model.weights().items()}


def _checkpoint(
    model: LSNN, signs: Mapping[str, Tensor], initial: Mapping[str, Tensor], args: TrainArgs, data: Dataset, history: list[Epoch]
) -> Checkpoint:
    task = {"name": data.name, "about": dict(data.about)}
    return Checkpoint(model, signs, _active(model, signs), initial, asdict(args), task, tuple(asdict(epoch) for epoch in history))


@contextlib.contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch use n threads inside, and as many as before afterwards (networks this small are fastest with one)."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _progress(wanted: bool, epochs: int) -> Iterator[Progress]:
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not wanted) as bar:
        bar.add_task("training", total=epochs, state=f"epoch 0/{epochs}")
        yield bar


def _show(bar: Progress, history: list[Epoch]) -> None:
    now = history[-1]
    state = f"epoch {now.epoch}  loss {now.train.loss:.3f}  validation {now.validation.accuracy:.1%}  {now.train.rate_hz:.0f} Hz"
    bar.update(bar.task_ids[0], advance=1, state=state)
