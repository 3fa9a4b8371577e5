"""The Penn Treebank's words in Mikolov's preparation (Mikolov et al. 2010), from a user's own files: LDC99T42 may not be passed on."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import NamedTuple

from neuromorph.errors import DataError


class Part(NamedTuple):
    """A file; lines and MD5 of the usual one."""

    file: str
    lines: int
    md5: str


PARTS = {
    "train": Part("ptb.train.txt", 42_068, "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
    "valid": Part("ptb.valid.txt", 3_370, "aa0affc06ff7c36e977d7cd49e3839bf"),
    "test": Part("ptb.test.txt", 3_761, "8b80168b89c18661a38ef683c0dc3721"),
}


def load_penn_treebank(folder: str | os.PathLike[str]) -> dict[str, list[list[str]]]:
    """Sentences of "train", "valid" and "test", each a list of words; one a line in the files, which name rare words <unk>.

    Warns where a file is not the usual one, since perplexities on it compare with no one's.

    Raises:
        DataError: a file is missing, cannot be read, or holds no word.
    """
    return {name: _sentences(Path(folder) / part.file, part) for name, part in PARTS.items()}


def _sentences(path: Path, usual: Part) -> list[list[str]]:
    try:
        data = path.read_bytes()
        lines = data.decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        files = ", ".join(part.file for part in PARTS.values())
        raise DataError(f"{path} cannot be read: {error}. The folder must hold {files}, which are not free: bring your own.") from error
    if len(lines) != usual.lines or hashlib.md5(data, usedforsecurity=False).hexdigest() != usual.md5:
        warnings.warn(f"{path} is not the usual {usual.file}: {len(lines):,} lines for {usual.lines:,}, or another MD5.", stacklevel=3)
    sentences = [line.split() for line in lines if line.strip()]
    if not sentences:
        raise DataError(f"{path} holds no word; give the Penn Treebank's {usual.file}.")
    return sentences
