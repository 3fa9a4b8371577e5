"""A training loop for whatever learns update by update: a bar, a state from which it goes on with the same bits, signals obeyed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import track

from neuromorph.backends.base import Progress
from neuromorph.errors import TrainingError
from neuromorph.train.interrupts import TrainingInterrupted, caught_signals
from neuromorph.train.state import has_state, load_state, save_state


@runtime_checkable
class Learner(Protocol):
    """`update` updates are done. `state_dict`: tensors, numbers, text, lists and dicts, all that the next update depends on."""

    update: int

    def learn(self) -> None:
        """One update."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


def learn(
    learner: Learner,
    updates: int,
    *,
    about: Mapping[str, Any],
    folder: Path | None = None,
    save_every: int = 250,
    progress: bool | Progress = True,
) -> None:
    """Let it learn until it has done so many updates. `progress`: a bar on a terminal, or what is told of updates done and in all.

    With `folder`, made where missing, the state is saved there every `save_every` updates and at the end, atomically; a call
    that finds one goes on with it, and ends with the same bits as a run that never stopped. SIGINT and SIGTERM end the run
    after the update at work, with its state saved. `about` (JSON values): what makes the run another one when it changes.

    Raises:
        TrainingError: the folder's run is another one.
        TrainingInterrupted: a signal came.
    """
    about = json.loads(json.dumps(about))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if has_state(folder):
            _go_on(learner, folder, about)
    console, bar = Console(stderr=True), progress is True
    with caught_signals(folder is not None) as asked:
        left = range(learner.update, updates)
        for _ in track(left, "training", console=console, disable=not (bar and console.is_terminal)):
            learner.learn()
            if callable(progress):
                progress(learner.update, updates)
            stopped = asked.number is not None
            if folder is not None and (stopped or learner.update % save_every == 0 or learner.update == updates):
                save_state(folder, {"about": about, **learner.state_dict()})
            if stopped:
                raise TrainingInterrupted(f"Stopped after update {learner.update}; its state lies in {folder}.", asked.number or 0)


def _go_on(learner: Learner, folder: Path, about: Mapping[str, Any]) -> None:
    state = load_state(folder)
    if state["about"] != about:
        raise TrainingError(f"{folder} holds a run of {state['about']}, not of {about}; choose another folder.")
    learner.load_state_dict(state)
