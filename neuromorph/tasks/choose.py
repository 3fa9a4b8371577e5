"""The data set that a configuration names."""

import dataclasses
from importlib import import_module

from neuromorph.dataset import Dataset
from neuromorph.errors import TrainingError
from neuromorph.train.config import TaskConfig
from neuromorph.train.settings import build

TASKS = ("digits", "sequential_mnist")


def load_task(task: TaskConfig, source: str = "configuration") -> Dataset:
    """The task's data, encoded by its own `Encoding` with the options of `task.encoding`; `source` is told in errors.

    Raises:
        TrainingError: the task is unknown, or its encoding has no such option or value.
    """
    if task.name not in TASKS:
        raise TrainingError(f"{source}: 'task.name' is {task.name!r}; allowed: {', '.join(TASKS)}.")
    module = import_module(f"neuromorph.tasks.{task.name}")
    encoding = build(module.Encoding, task.encoding, source, section="task.encoding")
    data = module.load(encoding)
    parts = {name: getattr(task, name) for name in ("train", "validation", "test")}
    return dataclasses.replace(data, **{name: getattr(data, name).head(n) for name, n in parts.items() if n is not None})
