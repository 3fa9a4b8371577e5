"""The file of a run that goes on: any nest of tensors and plain values, whole or not at all (no pickle)."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuromorph.errors import FormatError, TrainingError
from neuromorph.files import atomic_write
from neuromorph.train.tensorfile import TensorFormat

STATE, PREVIOUS = "state.safetensors", "state.previous.safetensors"
FORMAT = TensorFormat("training state", "neuromorph.state", 1, f"To go on from the save before it, copy {PREVIOUS} over {STATE}.")


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write `state.safetensors` atomically; the one before is kept as `state.previous.safetensors`.

    Raises:
        TrainingError: `state` holds something else than tensors, numbers, texts, None, lists, tuples and dicts.
    """
    tensors: dict[str, Tensor] = {}
    outline = pack(state, tensors)
    if (folder / STATE).exists():
        atomic_write(folder / PREVIOUS, (folder / STATE).read_bytes())
    FORMAT.write(folder / STATE, {"state": outline}, tensors)


def load_state(folder: Path, device: torch.device | None = None) -> dict[str, Any]:
    """What `save_state` wrote; tensors that lay on an accelerator go to `device`.

    Raises:
        FormatError: the file is damaged, or of another kind.
        OSError: the file cannot be read.
    """
    path = folder / STATE
    content, tensors = FORMAT.read(path)
    try:
        state = unpack(content["state"], tensors, device or torch.device("cpu"))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: its outline does not fit its tensors: {error!r}. {FORMAT.remedy}") from error
    if not isinstance(state, dict):
        raise FormatError(f"{path}: a state must be a dict. {FORMAT.remedy}")
    return state


def pack(value: Any, tensors: dict[str, Tensor], name: str = "") -> Any:
    """JSON outline of `value`; tensors are put into `tensors` by their path, such as "optimizer/state/0/exp_avg"."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, Tensor):
        while name in tensors:  # keys 1 and "1" make equal paths
            name += "'"
        tensors[name] = value
        return {"tensor": name, "device": value.device.type}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [pack(each, tensors, f"{name}/{index}") for index, each in enumerate(value)]}
    if isinstance(value, Mapping):
        if all(type(key) in (str, int) for key in value):
            return {"dict": [[key, pack(each, tensors, f"{name}/{key}".lstrip("/"))] for key, each in value.items()]}
        raise TrainingError(f"Training state: the keys of {name or 'it'!r} are {list(value)}; allowed are texts and whole numbers.")
    raise TrainingError(f"Training state: {name!r} is a {type(value).__name__}; allowed are tensors, plain values, lists and dicts.")


def unpack(outline: Any, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    """The inverse of `pack`."""
    if not isinstance(outline, dict):
        return outline
    if "tensor" in outline:
        tensor = tensors[outline["tensor"]]
        return tensor if outline["device"] == "cpu" else tensor.to(device)
    ((kind, content),) = outline.items()
    if kind == "number":
        return float(content)
    if kind == "dict":
        return {key: unpack(each, tensors, device) for key, each in content}
    return {"list": list, "tuple": tuple}[kind](unpack(each, tensors, device) for each in content)


def has_state(folder: str | os.PathLike[str]) -> bool:
    """Whether a run that can go on lies in `folder`."""
    return (Path(folder) / STATE).exists()
