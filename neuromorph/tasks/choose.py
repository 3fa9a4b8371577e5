"""The data set that a configuration names: a task of ours, or one that another package adds (entry point group `neuromorph.tasks`)."""

import dataclasses
from typing import Any

from neuromorph.dataset import Dataset
from neuromorph.errors import TrainingError
from neuromorph.plugins import TASKS, Plugin, plugin, plugins
from neuromorph.train.config import TaskConfig
from neuromorph.train.settings import build


def load_task(task: TaskConfig, source: str = "configuration") -> Dataset:
    """The task's data, encoded by its own `Encoding` with the options of `task.encoding`; `source` is told in errors.

    A task is a module, or an object, with a dataclass `Encoding` and `load(encoding) -> Dataset`.

    Raises:
        TrainingError: the task is unknown, or its encoding has no such option or value.
        PluginError: another package's, which is broken, or two packages declare the name.
    """
    found = plugin(TASKS, task.name)
    if found is None:
        raise TrainingError(f"{source}: 'task.name' is {task.name!r}; allowed: {', '.join(plugins(TASKS))}.")
    module = _loaded(found)
    encoding = build(module.Encoding, task.encoding, source, section="task.encoding")
    data = module.load(encoding)
    if not isinstance(data, Dataset):
        raise found.fault(f"loads {type(data).__name__}, not a neuromorph.dataset.Dataset")
    parts = {name: getattr(task, name) for name in ("train", "validation", "test")}
    return dataclasses.replace(data, **{name: getattr(data, name).head(n) for name, n in parts.items() if n is not None})


def _loaded(found: Plugin) -> Any:
    module = found.load()
    if not dataclasses.is_dataclass(getattr(module, "Encoding", None)) or not callable(getattr(module, "load", None)):
        raise found.fault("is no task: it lacks a dataclass Encoding or a function load(encoding)")
    return module
