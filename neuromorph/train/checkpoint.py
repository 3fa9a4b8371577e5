"""Checkpoints: a trained LSNN with its signs, masks, configuration and history as one safetensors file (no pickle)."""

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Num
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuromorph.errors import FormatError, NeuromorphError
from neuromorph.files import atomic_write
from neuromorph.graph import Graph
from neuromorph.train.export import export
from neuromorph.train.network import LSNN, LSNNConfig

FORMAT, VERSION = "neuromorph.checkpoint", 1
PARTS = ("model", "signs", "masks", "initial")
CONTENT: dict[str, type] = {"config": dict, "args": dict, "task": dict, "history": list}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model in the middle or at the end of training.

    `signs`, `masks`, `initial`: by matrix of `model.weights()`: fixed signs, active synapses, weights before training.
    `args`, `task`: how it was trained and on which data; `history`: one entry an epoch. All three are JSON values.
    """

    model: LSNN
    signs: Mapping[str, Num[Tensor, "_ _"]]
    masks: Mapping[str, Bool[Tensor, "_ _"]]
    initial: Mapping[str, Float[Tensor, "_ _"]]
    args: Mapping[str, Any]
    task: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]

    def graph(self) -> Graph:
        """The model as a sparse float graph with its fixed signs; metadata tell task, arguments and decision window."""
        metadata = {
            "task": json.dumps(dict(self.task), sort_keys=True),
            "training": json.dumps(dict(self.args), sort_keys=True),
            "decision_window": str(self.args["window"]),
        }
        return export(self.model, signs=dict(self.signs), metadata=metadata)

    def initial_graph(self) -> Graph:
        """The same network before training."""
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for name, weights in model.weights().items():
                weights.copy_(self.initial[name])
        return export(model, signs=dict(self.signs))


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write `checkpoint` atomically.

    Tensors are named "part/name", parts `model` (the state dict), `signs`, `masks` and `initial`. The header's one
    metadata entry "neuromorph" is JSON: format, version, content, and the SHA-256 of content and tensors.
    """
    tensors = {f"model/{name}": tensor for name, tensor in checkpoint.model.state_dict().items()}
    for part in PARTS[1:]:
        tensors |= {f"{part}/{name}": tensor for name, tensor in getattr(checkpoint, part).items()}
    tensors = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in sorted(tensors.items())}
    content = {
        "config": asdict(checkpoint.model.config),
        "args": dict(checkpoint.args),
        "task": dict(checkpoint.task),
        "history": [dict(entry) for entry in checkpoint.history],
    }
    content = json.loads(json.dumps(content, allow_nan=False))
    header = {"format": FORMAT, "version": VERSION, "content": content, "sha256": _digest(content, tensors)}
    atomic_write(path, save(tensors, {"neuromorph": json.dumps(header, sort_keys=True)}))


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint.

    Raises:
        FormatError: not a checkpoint, newer than this reader, damaged, or inconsistent (shapes, signs, masks).
        OSError: the file cannot be read.
    """
    with open(path, "rb"):  # safetensors words a missing file less clearly
        pass
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except SafetensorError as error:
        raise FormatError(f"{path}: not a safetensors file, or cut short ({error}).") from error
    content = _content(path, metadata, tensors)
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for full, tensor in tensors.items():
        part, _, name = full.partition("/")
        if part not in parts:
            raise FormatError(f"{path}: tensor '{full}' is unknown; allowed are {', '.join(f'{p}/...' for p in PARTS)}.")
        parts[part][name] = tensor
    model = _model(path, content["config"], parts.pop("model"))
    _check(path, model, **parts)
    return Checkpoint(model, **parts, args=content["args"], task=content["task"], history=tuple(content["history"]))


def _content(path: str | os.PathLike[str], metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    try:
        header = json.loads(metadata["neuromorph"])
        found, version, content, digest = (header[key] for key in ("format", "version", "content", "sha256"))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: a safetensors file, but its metadata is not that of a neuromorph checkpoint.") from error
    if found != FORMAT or version != VERSION:
        raise FormatError(f"{path}: format {found!r} version {version!r}; this reader knows {FORMAT!r} version {VERSION}.")
    if not isinstance(content, dict) or {k: type(v) for k, v in content.items()} != CONTENT:
        raise FormatError(f"{path}: content must be {', '.join(CONTENT)}.")
    if _digest(content, tensors) != digest:
        raise FormatError(f"{path}: the SHA-256 does not match; the file is damaged. Take an older checkpoint or train anew.")
    return content


def _digest(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _model(path: str | os.PathLike[str], config: dict[str, Any], state: dict[str, Tensor]) -> LSNN:
    unknown = set(config) ^ {field.name for field in fields(LSNNConfig)}
    if unknown:
        raise FormatError(f"{path}: config fields {sorted(unknown)} are unknown or missing.")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    floats = [tensor.dtype for tensor in state.values() if tensor.is_floating_point()]
    try:
        model = LSNN(LSNNConfig(**values), generator=torch.Generator(), dtype=floats[0])
        model.load_state_dict(state)
    except (NeuromorphError, RuntimeError, TypeError, ValueError, IndexError) as error:
        raise FormatError(f"{path}: configuration and tensors make no LSNN: {error}") from error
    return model


def _check(path: str | os.PathLike[str], model: LSNN, **parts: dict[str, Tensor]) -> None:
    weights = {name: w.detach() for name, w in model.weights().items()}
    for part, found in parts.items():
        if {name: t.shape for name, t in found.items()} != {name: w.shape for name, w in weights.items()}:
            raise FormatError(f"{path}: {part} do not have the names and shapes of the weights {sorted(weights)}.")
        if part == "masks" and any(t.dtype != torch.bool for t in found.values()):
            raise FormatError(f"{path}: masks must be booleans.")
        if part == "initial" and not all(t.is_floating_point() and torch.isfinite(t).all() for t in found.values()):
            raise FormatError(f"{path}: initial weights must be finite.")
    for name, w in weights.items():
        signs = parts["signs"][name]
        if not torch.isfinite(w).all() or (signs.abs() != 1).any():
            raise FormatError(f"{path}: matrix '{name}' holds weights that are not finite or signs other than +1, -1.")
        if not torch.equal(signs * w > 0, parts["masks"][name]) or (w[~parts["masks"][name]] != 0).any():
            raise FormatError(f"{path}: the weights of matrix '{name}' contradict its mask or signs.")
