"""A corpus of phones as frames: 39 normalised features and a class every 10 ms."""

import hashlib
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from neuromorph.data.phones import audio, mfcc, timit
from neuromorph.data.phones.flite import NAME, RECIPE, check
from neuromorph.data.phones.timit import CLASSES, CORE_TEST, FOLDING, Files, Segment
from neuromorph.data.resources import VARIABLE, cache_folder
from neuromorph.errors import DataError
from neuromorph.graph.populations import read_only
from neuromorph.shapes import Float32, Int64, Num

Name: TypeAlias = Literal["flite-phones", "TIMIT"]

NOT_COUNTED = -1
"""The label of frames outside of all segments, and of glottal stops."""


@dataclass(frozen=True, eq=False)
class Framed:
    """One utterance: `features` [frames, 39], `labels` [frames], 0 .. 38 or `NOT_COUNTED`."""

    name: str
    features: Float32[np.ndarray, "frames 39"]
    labels: Int64[np.ndarray, " frames"]

    def __post_init__(self) -> None:
        for name in ("features", "labels"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Utterances for training and test. Every feature has mean 0 and variance 1 over all frames of the former.

    `about` (JSON values) tells where they come from and what was done to them.
    """

    name: Name
    train: tuple[Framed, ...]
    test: tuple[Framed, ...]
    classes: tuple[str, ...] = CLASSES
    about: dict[str, str | int | float | None] = field(default_factory=dict[str, str | int | float | None])


def load_corpus(
    name: Name = "flite-phones", *, root: str | os.PathLike[str] | None = None, snr_db: float | None = None, seed: int = 0
) -> Corpus:
    """The corpus in `root`, $NEUROMORPH_DATA or the cache, there or in their folder of its name.

    `snr_db`: white noise so far below the power of each utterance is added, drawn from `seed` and the utterance's name. TIMIT's test part
    is its core test set. flite-phones is held against the checksums of its recipe first.

    Raises:
        DataError: it is nowhere, or damaged.
    """
    folder = find(name, root)
    about: dict[str, str | int | float | None] = {"corpus": name, "snr_db": snr_db, "noise_seed": seed if snr_db is not None else None}
    if name == NAME:
        check(folder)
        about["recipe_sha256"] = hashlib.sha256((folder / RECIPE).read_bytes()).hexdigest()
    parts = {part: timit.utterances(folder, part) for part in timit.PARTS}
    if name == "TIMIT":
        parts["TEST"] = [files for files in parts["TEST"] if files.speaker in CORE_TEST]
    about |= {f"{part.lower()}_utterances": len(files) for part, files in parts.items()}
    train, test = ([framed(files, snr_db, seed) for files in parts[part]] for part in timit.PARTS)
    return Corpus(name, *normalised(train, test), about=about)


def find(name: Name, root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds TRAIN and TEST.

    Raises:
        DataError: there is none.
    """
    bases = [Path(base).expanduser() for base in (root, os.environ.get(VARIABLE), cache_folder()) if base]
    searched = [folder for base in bases for folder in (base, base / name)]
    for folder in searched:
        held = {path.name.upper() for path in folder.iterdir()} if folder.is_dir() else set[str]()
        if held.issuperset(timit.PARTS) and (RECIPE.upper() in held) == (name == NAME):
            return folder
    cure = f"`neuromorph data make {NAME}` makes it" if name == NAME else f"it is licensed (LDC93S1); set {VARIABLE} to your copy's folder"
    raise DataError("\n  ".join([f"{name} is in none of", *map(str, searched)]) + f"\n{cure}.")


def framed(files: Files, snr_db: float | None, seed: int) -> Framed:
    """Features and labels of one utterance; a frame belongs to the phone that its middle lies in."""
    recording = audio.parse(files.audio.read_bytes(), str(files.audio))
    segments = timit.parse_phones(files.phones.read_text(encoding="ascii"), str(files.phones))
    samples = np.asarray(recording.samples, dtype=np.float64) / 2**15
    if snr_db is not None:
        samples = samples + noise(samples, snr_db, np.random.default_rng([seed, zlib.crc32(files.name.encode())]))
    found = mfcc.features(samples, recording.rate).astype(np.float32)
    return Framed(files.name, found, labels_at(segments, mfcc.centres(len(samples), recording.rate)))


def noise(samples: Num[np.ndarray, " n"], snr_db: float, generator: np.random.Generator) -> Num[np.ndarray, " n"]:
    """White noise with 10^(-snr_db / 10) of the mean power of `samples`."""
    return generator.standard_normal(len(samples)) * np.sqrt(np.mean(samples**2) / 10 ** (snr_db / 10))


def labels_at(segments: Sequence[Segment], places: Int64[np.ndarray, " frames"]) -> Int64[np.ndarray, " frames"]:
    """The class of the segment around each sample."""
    ends = np.array([segment.end for segment in segments] or [0])
    begins = np.array([segment.begin for segment in segments] or [1])
    classes = np.array([CLASSES.index(FOLDING[s.phone]) if s.phone in FOLDING else NOT_COUNTED for s in segments] or [NOT_COUNTED])
    index = np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1)
    return np.where((begins[index] <= places) & (places < ends[index]), classes[index], NOT_COUNTED)


def normalised(train: Sequence[Framed], test: Sequence[Framed]) -> tuple[tuple[Framed, ...], tuple[Framed, ...]]:
    """Every feature less its mean over the frames of `train`, by its standard deviation there."""
    frames = np.concatenate([each.features for each in train]).astype(np.float64)
    mean, deviation = frames.mean(0), np.maximum(frames.std(0), 1e-6)

    def changed(each: Framed) -> Framed:
        return replace(each, features=((each.features - mean) / deviation).astype(np.float32))

    return tuple(map(changed, train)), tuple(map(changed, test))
