"""The history of a run: one line a record, in memory, in `history.jsonl` and in TensorBoard."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuromorph.files import atomic_write
from neuromorph.train.evaluate import Evaluation

HISTORY = "history.jsonl"


@dataclass(frozen=True)
class Record:
    """After `update` updates (`epoch` passes over the training part): the training batches since the record before.

    `validation`: the whole validation part; None where only training numbers were due. `lr`: of the last update.
    """

    update: int
    epoch: float
    train: Evaluation
    validation: Evaluation | None
    lr: float
    n_active: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Record":
        """From JSON values."""
        parts = {part: Evaluation(**values[part]) if values[part] else None for part in ("train", "validation")}
        return cls(**{**values, **parts})


def best_of(history: Sequence[Record]) -> Record | None:
    """The evaluation with the lowest validation loss, which is less of a lottery than accuracy on few samples."""
    evaluations = [record for record in history if record.validation]
    return min(evaluations, key=lambda record: record.validation.loss, default=None)  # pyright: ignore[reportOptionalMemberAccess]


class HistoryFile:
    """`history.jsonl`, and TensorBoard's event files where wanted and installed, from a given history on."""

    def __init__(self, folder: Path, history: Sequence[Record], *, tensorboard: bool) -> None:
        self.path = folder / HISTORY
        atomic_write(self.path, "".join(_line(record) for record in history).encode())
        self.writer = _writer(folder, history[-1].update if history else 0) if tensorboard else None

    def add(self, record: Record) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
        if self.writer:
            for part, numbers in (("train", record.train), ("validation", record.validation)):
                for name, value in asdict(numbers).items() if numbers else ():
                    self.writer.add_scalar(f"{name}/{part}", value, record.update)
            self.writer.add_scalar("lr", record.lr, record.update)
            self.writer.add_scalar("n_active", record.n_active, record.update)
            self.writer.flush()

    def close(self) -> None:
        if self.writer:
            self.writer.close()


def _line(record: Record) -> str:
    return json.dumps(asdict(record)) + "\n"


def _writer(folder: Path, update: int) -> Any:
    """TensorBoard's writer, which forgets what a run that is resumed had written later than `update`."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # pyright: ignore[reportPrivateImportUsage]
    except ImportError:
        warnings.warn(f"TensorBoard is not installed (pip install tensorboard); the same numbers are in {folder / HISTORY}.", stacklevel=2)
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=update + 1)
