"""flite-phones, a free corpus of synthetic speech with phone labels in TIMIT's layout: sentences spoken by CMU Flite.

Each sentence is spoken by one voice at one speed, both in turn; Flite tells when each phone ends. Labels are cut to the recording, whose
last pause one voice leaves out. Equal recipes give equal labels wherever the same version of Flite runs.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from neuromorph.data.phones import audio
from neuromorph.data.phones.sentences import Part, draw
from neuromorph.errors import DataError
from neuromorph.files import atomic_write

NAME, RECIPE = "flite-phones", "recipe.json"
SPEAKERS = {"kal16": "MKAL0", "awb": "MAWB0", "rms": "MRMS0", "slt": "FSLT0"}
"""Flite's voices at 16 kHz, three men and a woman, and what TIMIT would call them."""
STRETCHES = (0.85, 1.0, 1.15)
TIMEOUT_S = 60


@dataclass(frozen=True)
class Recipe:
    """`train`, `test`: utterances; `seed`: of the sentences."""

    train: int = 800
    test: int = 100
    seed: int = 0


def make(folder: Path, recipe: Recipe = Recipe()) -> bool:
    """Make the corpus in `folder`, all of it or nothing; gives whether it was made now, or was there already.

    Raises:
        DataError: flite is missing or fails, or the folder holds something else.
    """
    if folder.exists():
        found = check(folder)
        if {name: found[name] for name in asdict(recipe)} != asdict(recipe):
            raise DataError(f"{folder} holds a corpus of {found}, not of {recipe}; delete it, or choose another folder.")
        return False
    program = flite()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / "made"
        sizes: dict[Part, int] = {"TRAIN": recipe.train, "TEST": recipe.test}
        texts = [(part, number, text) for part, n in sizes.items() for number, text in enumerate(draw(part, n, recipe.seed))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(partial(_speak_one, program, made), texts))
        about = {"corpus": NAME, "tool": version(program), **asdict(recipe), "sentences_sha256": _sha256(t.encode() for _, _, t in texts)}
        atomic_write(made / RECIPE, (json.dumps({**about, **sums(made)}, indent=1) + "\n").encode())
        made.rename(folder)
    return True


def flite() -> str:
    """The program.

    Raises:
        DataError: it is not here, or lacks a voice.
    """
    program = shutil.which("flite")
    if program is None:
        raise DataError(
            "flite, which speaks the sentences, is not installed. Install it; Debian: apt-get install --no-install-recommends flite"
        )
    if missing := set(SPEAKERS) - set(_run([program, "-lv"]).split()):
        raise DataError(f"{program} lacks the voices {', '.join(sorted(missing))}; install Flite 2.")
    return program


def version(program: str) -> str:
    """As the program tells it (and ends with 1)."""
    found = re.search(r"version: (.*?)(?: \(|$)", _run([program, "--version"], codes=(0, 1)), flags=re.MULTILINE)
    return found[1] if found else "unknown"


def _speak_one(program: str, root: Path, text: tuple[Part, int, str]) -> None:
    speak(program, root, *text)


def speak(program: str, root: Path, part: Part, number: int, text: str) -> None:
    """Write one utterance: .WAV, .PHN and .TXT."""
    voice = list(SPEAKERS)[number % len(SPEAKERS)]
    stretch = STRETCHES[number // len(SPEAKERS) % len(STRETCHES)]
    folder = root / part / f"DR{number % len(SPEAKERS) + 1}" / SPEAKERS[voice]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"SX{number}.WAV"
    told = _run([program, "-voice", voice, "--setf", f"duration_stretch={stretch}", "-psdur", "-o", str(path), "-t", text])
    recording = audio.parse(path.read_bytes(), str(path))
    lines = phone_lines(told, len(recording.samples), recording.rate)
    path.with_suffix(".PHN").write_text("".join(f"{line}\n" for line in lines))
    path.with_suffix(".TXT").write_text(f"0 {len(recording.samples)} {text}\n")


def phone_lines(told: str, n: int, rate: int) -> list[str]:
    """Lines of a .PHN file from `phone:end` [s] words, cut to n samples.

    Raises:
        DataError: other words, or none.
    """
    found, begin = list[str](), 0
    for word in told.split():
        phone, colon, end = word.partition(":")
        if not colon or not re.fullmatch(r"\d+\.\d+", end):
            raise DataError(f"flite says {word!r}; wanted phone:end in seconds.")
        stop = min(round(float(end) * rate), n)
        if stop > begin:
            found.append(f"{begin} {stop} {phone}")
            begin = stop
    if not found:
        raise DataError("flite tells no phone of the sentence.")
    return found


def sums(root: Path) -> dict[str, str]:
    """Checksums over all labels, and over all recordings, in the order of their names."""
    kinds = (("labels_sha256", ".PHN"), ("audio_sha256", ".WAV"))
    return {name: _sha256(_contents(root, sorted(root.glob(f"*/*/*/*{ending}")))) for name, ending in kinds}


def check(root: Path) -> dict[str, Any]:
    """The recipe of the corpus in `root`, which is as it was made.

    Raises:
        DataError: it is not, or there is none.
    """
    try:
        recipe: dict[str, Any] = dict(json.loads((root / RECIPE).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{root / RECIPE} cannot be read: {error}. `neuromorph data make {NAME}` makes the corpus.") from error
    found = sums(root)
    if found != {name: recipe.get(name) for name in found}:
        raise DataError(f"{root} is damaged: its labels or recordings are not those of its {RECIPE}; delete it and make it again.")
    return recipe


def _contents(root: Path, paths: Sequence[Path]) -> Sequence[bytes]:
    return [part for path in paths for part in (str(path.relative_to(root)).encode(), path.read_bytes())]


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _run(command: Sequence[str], *, codes: Sequence[int] = (0,)) -> str:
    """What the command prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{command[0]}: {error}.") from error
    if done.returncode not in codes:
        raise DataError(f"{' '.join(command)} failed with code {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
