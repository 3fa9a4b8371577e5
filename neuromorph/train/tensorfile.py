"""Tensors and JSON in one safetensors file with a format, a version and a SHA-256 over both (no pickle)."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuromorph.errors import FormatError
from neuromorph.files import atomic_write


@dataclass(frozen=True)
class TensorFormat:
    """A kind of file: `what` it is called in messages, its format name and version, and what to do about a damaged one."""

    what: str
    name: str
    version: int
    remedy: str

    def write(self, path: str | os.PathLike[str], content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write atomically. `content`: JSON values; the header's one metadata entry "neuromorph" holds them and the SHA-256."""
        held = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in sorted(tensors.items())}
        values = json.loads(json.dumps(content, allow_nan=False))
        header = {"format": self.name, "version": self.version, "content": values, "sha256": _digest(values, held)}
        atomic_write(path, save(held, {"neuromorph": json.dumps(header, sort_keys=True)}))

    def read(self, path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Content and tensors.

        Raises:
            FormatError: another kind of file, another version, or damaged.
            OSError: the file cannot be read.
        """
        with open(path, "rb"):  # safetensors words a missing file less clearly
            pass
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        except SafetensorError as error:
            raise FormatError(f"{path}: not a safetensors file, or cut short ({error}). {self.remedy}") from error
        try:
            header = json.loads(metadata["neuromorph"])
            found, version, content, digest = (header[key] for key in ("format", "version", "content", "sha256"))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path}: a safetensors file, but its metadata is not that of a neuromorph {self.what}.") from error
        if found != self.name or version != self.version:
            raise FormatError(f"{path}: format {found!r} version {version!r}; this reader knows {self.name!r} version {self.version}.")
        if not isinstance(content, dict) or _digest(content, tensors) != digest:
            raise FormatError(f"{path}: the SHA-256 does not match; the file is damaged. {self.remedy}")
        return content, tensors


def _digest(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
