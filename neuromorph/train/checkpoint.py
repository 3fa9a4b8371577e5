"""Checkpoints: a trained LSNN with its signs, masks, configuration and history as one safetensors file (no pickle)."""

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from neuromorph.dataset import ANALOG
from neuromorph.errors import FormatError, NeuromorphError, QuantizationError, TrainingError
from neuromorph.graph import Graph
from neuromorph.grid import Grid
from neuromorph.hardware import load_profile
from neuromorph.train.export import export
from neuromorph.train.network import LSNN, LSNNConfig
from neuromorph.train.sparse_network import SparseLSNN
from neuromorph.train.storage import Network, put_synapses
from neuromorph.train.tensorfile import TensorFormat

FORMAT = TensorFormat("checkpoint", "neuromorph.checkpoint", 1, "Take an older checkpoint or train anew.")
PARTS = ("model", "signs", "masks", "initial")
CONTENT: dict[str, type] = {"config": dict, "n_in": int, "n_out": int, "dt": float, "args": dict, "task": dict, "history": list}
GRID = "grid"  # content of checkpoints that were trained for a chip
CONNECTIVITY = "connectivity"  # content of checkpoints of a SparseLSNN


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model in the middle or at the end of training.

    `signs`, `masks`, `initial`: by matrix of `model.weights()`: fixed signs, active synapses, weights before training. A
    `SparseLSNN` has its signs and live synapses in itself: both are empty, `initial` is as `storage.synapses` gives it.
    `args`, `task`: how it was trained (`TrainConfig.to_dict`) and on which data; `history`: one entry an evaluation. All
    three are JSON values. `grid`: that of the chip's numbers on which the model's parameters lie; empty where it was not
    trained for a chip.
    """

    model: Network
    signs: Mapping[str, Num[Tensor, "_ _"]]
    masks: Mapping[str, Bool[Tensor, "_ _"]]
    initial: Mapping[str, Num[Tensor, "..."]]
    args: Mapping[str, Any]
    task: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    grid: Grid = field(default_factory=Grid)

    def graph(self) -> Graph:
        """The model as a sparse float graph with its fixed signs; metadata tell task, arguments, decision window, grid and analog input."""
        metadata = {
            "task": json.dumps(dict(self.task), sort_keys=True),
            "training": json.dumps(dict(self.args), sort_keys=True),
            "decision_window": str(self.args["training"]["window"]),
            **{key: value for key, value in ANALOG.items() if self.task.get(key) == value},
        }
        if self.grid.scales:
            metadata |= self.grid.to_metadata(load_profile(self.args["quantization"]["profile"]).id)
        return export(self.model, signs=dict(self.signs), metadata=metadata)

    def initial_graph(self) -> Graph:
        """The same network before training."""
        model = copy.deepcopy(self.model)
        put_synapses(model, self.initial)
        return export(model, signs=dict(self.signs))


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write `checkpoint` atomically.

    Tensors are named "part/name", parts `model` (the state dict), `signs`, `masks` and `initial`.
    """
    tensors = {f"model/{name}": tensor for name, tensor in checkpoint.model.state_dict().items()}
    for part in PARTS[1:]:
        tensors |= {f"{part}/{name}": tensor for name, tensor in getattr(checkpoint, part).items()}
    content = {
        "config": asdict(checkpoint.model.config),
        "n_in": checkpoint.model.n_in,
        "n_out": checkpoint.model.n_out,
        "dt": checkpoint.model.dt,
        "args": dict(checkpoint.args),
        "task": dict(checkpoint.task),
        "history": [dict(entry) for entry in checkpoint.history],
    }
    if isinstance(checkpoint.model, SparseLSNN):
        content[CONNECTIVITY] = checkpoint.model.connectivity
    if checkpoint.grid.scales:
        content[GRID] = asdict(checkpoint.grid)
    FORMAT.write(path, content, tensors)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint.

    Raises:
        FormatError: not a checkpoint, newer than this reader, damaged, or inconsistent (shapes, signs, masks).
        OSError: the file cannot be read.
    """
    content, tensors = FORMAT.read(path)
    grid, shares = _grid(path, content.pop(GRID, {})), content.pop(CONNECTIVITY, None)
    if {k: type(v) for k, v in content.items()} != CONTENT:
        raise FormatError(f"{path}: content must be {', '.join(CONTENT)}.")
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for full, tensor in tensors.items():
        part, _, name = full.partition("/")
        if part not in parts:
            raise FormatError(f"{path}: tensor '{full}' is unknown; allowed are {', '.join(f'{p}/...' for p in PARTS)}.")
        parts[part][name] = tensor
    model = _model(path, content, parts.pop("model"), shares)
    if isinstance(model, LSNN):
        _check(path, model, **parts)
    else:
        _check_live(path, model, **parts)
    return Checkpoint(model, **parts, args=content["args"], task=content["task"], history=tuple(content["history"]), grid=grid)


def _grid(path: str | os.PathLike[str], content: Mapping[str, Any]) -> Grid:
    try:
        return Grid(**content)
    except (QuantizationError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: its {GRID} cannot be read: {error}") from error


def _model(path: str | os.PathLike[str], content: dict[str, Any], state: dict[str, Tensor], shares: dict[str, float] | None) -> Network:
    config = content["config"]
    unknown = set(config) ^ {field.name for field in fields(LSNNConfig)}
    if unknown:
        raise FormatError(f"{path}: config fields {sorted(unknown)} are unknown or missing.")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    floats = [tensor.dtype for tensor in state.values() if tensor.is_floating_point()]
    try:
        given = LSNNConfig(**values), content["n_in"], content["n_out"]
        options = {"dt": content["dt"], "generator": torch.Generator(), "dtype": floats[0]}
        model = LSNN(*given, **options) if shares is None else SparseLSNN(*given, connectivity=shares, **options)
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


def _check_live(path: str | os.PathLike[str], model: SparseLSNN, **parts: dict[str, Tensor]) -> None:
    if parts["signs"] or parts["masks"]:
        raise FormatError(f"{path}: signs or masks of matrices, but the model stores live synapses alone.")
    try:
        model.check()
        put_synapses(copy.deepcopy(model), parts["initial"])
    except TrainingError as error:
        raise FormatError(f"{path}: {error}") from error
