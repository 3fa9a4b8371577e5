"""The training loop: BPTT under DEEP R, validation, the best model kept, and a state from which a run goes on with the same bits."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from neuromorph.dataset import Dataset
from neuromorph.errors import TrainingError
from neuromorph.files import atomic_write
from neuromorph.graph import Graph
from neuromorph.train.checkpoint import Checkpoint, save_checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.distributed import Ranks, largest
from neuromorph.train.evaluate import Evaluation
from neuromorph.train.history import HistoryFile, Record, best_of
from neuromorph.train.interrupts import Interrupts, TrainingInterrupted, caught_signals
from neuromorph.train.monitor import Monitor, monitored
from neuromorph.train.run import Diverged, Run
from neuromorph.train.settings import build, to_toml
from neuromorph.train.state import STATE, load_state, save_state
from neuromorph.train.storage import Network, n_live

BEST, CONFIG = "best.safetensors", "config.toml"


@dataclass(frozen=True, eq=False)
class TrainResult:
    """The checkpoint of the best validation, and how it came about.

    `test`: its model on the test part, which decided nothing. `requested_synapses`: active synapses asked for by
    `connectivity`. `seconds`: wall time of training, over all sittings.
    """

    checkpoint: Checkpoint
    history: tuple[Record, ...]
    best: Record
    test: Evaluation
    requested_synapses: int
    seconds: float

    @property
    def model(self) -> Network:
        return self.checkpoint.model

    @property
    def n_active(self) -> int:
        """Active synapses over all projections."""
        return n_live(self.model)

    def graph(self) -> Graph:
        """The trained network as a sparse float graph."""
        return self.checkpoint.graph()

    def initial_graph(self) -> Graph:
        """The network before training."""
        return self.checkpoint.initial_graph()


def train(config: TrainConfig, data: Dataset, *, folder: Path | None = None, progress: bool = True, ranks: Ranks = Ranks()) -> TrainResult:
    """Train an LSNN on `data`, from the start.

    Equal configuration and data give equal results on one machine with one thread count. Torch's global generator is not
    used. With `folder`, which is made where missing, the run leaves there `config.toml`, `history.jsonl`,
    `best.safetensors` (a `Checkpoint`) and `state.safetensors`, from which `resume` goes on; SIGINT and SIGTERM then end
    the run after the update at work, with its state saved.

    `ranks`: of processes that train together (see `distributed.joined`), each of which calls this with equal arguments.
    Updates are those of one process but for rounding; only the first writes, and a signal to any of them stops all,
    after a validation at work has ended.

    Raises:
        TrainingError: loss, gradients or weights are no longer finite, or ranks disagree; the message tells the update.
        TrainingInterrupted: a signal came.
    """
    with torch_threads(config.training.threads):
        run = Run(config, data, ranks)
        if folder is not None and ranks.first:
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write(folder / CONFIG, to_toml(config.to_dict()).encode())
        return _finish(run, folder, 0.0, progress)


def resume(folder: Path, data: Dataset, *, progress: bool = True, ranks: Ranks = Ranks()) -> TrainResult:
    """Go on with the run in `folder`: its weights after any further updates are those of a run that never stopped, bit for bit.

    `ranks` may be more or fewer than before; then equal but for rounding.

    Raises:
        FormatError: the state is damaged.
        OSError: there is none.
        TrainingError, TrainingInterrupted: as `train`.
    """
    config = saved_config(folder)
    with torch_threads(config.training.threads):
        run = Run(config, data, ranks)
        state = load_state(folder, run.device)
        run.load_state_dict(state)
        return _finish(run, folder, state["seconds"], progress)


def saved_config(folder: Path) -> TrainConfig:
    """The configuration of the run in `folder`, from its state."""
    return build(TrainConfig, load_state(folder)["config"], str(folder / STATE))


class Keeper:
    """Writes what a run leaves in its folder; without a folder, nothing. `before`: seconds of earlier sittings."""

    def __init__(self, run: Run, folder: Path | None, before: float) -> None:
        self.run, self.folder, self.before = run, folder, before
        self.start = self.saved = time.monotonic()
        self.saved_update = run.update
        self.log = HistoryFile(folder, run.history, tensorboard=run.config.training.tensorboard) if folder else None

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.start

    def record(self, record: Record) -> None:
        if self.log:
            self.log.add(record)
        if best_of(self.run.history) is record:
            self.best()

    def best(self) -> None:
        if self.folder:
            save_checkpoint(self.folder / BEST, self.run.checkpoint())

    def save(self) -> None:
        """Save the state, unless a weight is not finite.

        Raises:
            Diverged: that one is.
        """
        if not all(bool(torch.isfinite(p).all()) for p in self.run.model.parameters()):
            raise Diverged("a weight is no longer finite")
        if self.folder:
            save_state(self.folder, {**self.run.state_dict(), "seconds": self.seconds})
        self.saved, self.saved_update = time.monotonic(), self.run.update

    def save_if_due(self) -> None:
        training = self.run.config.training
        by_updates = training.checkpoint_every and self.run.update - self.saved_update >= training.checkpoint_every
        if by_updates or time.monotonic() - self.saved >= training.checkpoint_seconds:
            self.save()


def _finish(run: Run, folder: Path | None, before: float, progress: bool) -> TrainResult:
    """Train to the end, then test the best model."""
    run.check_masks()
    keeper = Keeper(run, folder if run.ranks.first else None, before)
    with caught_signals(folder is not None) as asked, monitored(run, progress and run.ranks.first) as monitor:
        try:
            keeper.save()
            _loop(run, folder, keeper, monitor, asked)
            keeper.best()
            keeper.save()
        except Diverged as error:
            raise _diverged(run, folder, keeper.saved_update, error) from error
        finally:
            if keeper.log:
                keeper.log.close()
    best = best_of(run.history)
    assert best is not None
    test = run.evaluate(run.best, run.data.test)
    return TrainResult(run.checkpoint(), tuple(run.history), best, test, run.requested, keeper.seconds)


def _loop(run: Run, folder: Path | None, keeper: Keeper, monitor: Monitor, asked: Interrupts) -> None:
    def obey() -> None:
        if number := largest(run.ranks, asked.number or 0):
            keeper.save()
            largest(run.ranks, number)  # torchrun ends all ranks when one has left: not before the state is saved
            raise TrainingInterrupted(
                f"Stopped after update {run.update} of {run.updates}; the state is saved. Go on with: neuromorph train --resume {folder}",
                number,
            )

    while True:
        if run.due:
            record = run.record(obey)
            keeper.record(record)
            monitor.record(record)
        if run.update == run.updates:
            return
        run.step()
        monitor.update()
        obey()
        keeper.save_if_due()


def _diverged(run: Run, folder: Path | None, saved: int, error: Diverged) -> TrainingError:
    kept = f" {folder / STATE} still holds the state after update {saved}." if folder else ""
    optimizer = run.config.optimizer
    cure = f"Lower optimizer.lr ({optimizer.lr}) or optimizer.clip ({optimizer.clip})."
    return TrainingError(f"Training diverged in update {run.update + 1}: {error}.{kept} {cure}")


@contextlib.contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch use n threads inside, and as many as before afterwards (networks this small are fastest with one)."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
