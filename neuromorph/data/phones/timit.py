"""TIMIT's folders and phones: {TRAIN,TEST}/<dialect region>/<speaker>/<utterance>.WAV and .PHN, in capitals or not.

Garofolo et al. 1993 (LDC93S1). Which sentences and speakers count, and the folding of 61 phones to 39, are those of Lee and Hon (1989, IEEE
Trans. ASSP 37(11)), which all later work reports.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from neuromorph.errors import DataError

PARTS = ("TRAIN", "TEST")
SAMPLE_RATE = 16_000

SAME = "aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z"
OTHERS = {
    "aa": "ao",
    "ah": "ax ax-h",
    "er": "axr",
    "hh": "hv",
    "ih": "ix",
    "l": "el",
    "m": "em",
    "n": "en nx",
    "ng": "eng",
    "sh": "zh",
    "uw": "ux",
    "sil": "pcl tcl kcl bcl dcl gcl h# pau epi",
}
FOLDING = {phone: phone for phone in SAME.split()} | {phone: to for to, phones in OTHERS.items() for phone in phones.split()}
"""The class of each of the 60 phones that count. The 61st, the glottal stop q, has none."""

IGNORED = "q"
CLASSES = tuple(sorted(set(FOLDING.values())))
"""The 39 classes."""

CORE_TEST = (
    "MDAB0",
    "MWBT0",
    "FELC0",
    "MTAS1",
    "MWEW0",
    "FPAS0",
    "MJMP0",
    "MLNT0",
    "FPKT0",
    "MLLL0",
    "MTLS0",
    "FJLM0",
    "MBPM0",
    "MKLT0",
    "FNLP0",
    "MCMJ0",
    "MJDH0",
    "FMGD0",
    "MGRT0",
    "MNJM0",
    "FDHC0",
    "MJLN0",
    "MPAM0",
    "FMLD0",
)
"""Speakers of the core test set: two men and one woman of each of the eight dialect regions, 192 sentences without SA."""


class Segment(NamedTuple):
    """One phone: samples `begin` to `end` (not included)."""

    begin: int
    end: int
    phone: str


@dataclass(frozen=True)
class Files:
    """One utterance: `name` "TRAIN/DR1/FCJF0/SX37", its recording and its phones."""

    name: str
    audio: Path
    phones: Path

    @property
    def speaker(self) -> str:
        return self.name.split("/")[2]


def utterances(root: Path, part: str) -> list[Files]:
    """All of a part by name, without SA sentences, which every speaker says; names are in capitals whatever the disk has.

    Raises:
        DataError: the folder has none, or an utterance lacks its recording.
    """
    found = sorted(_found(root, part), key=lambda files: files.name)
    if not found:
        raise DataError(f"{root} has no {part}/<region>/<speaker>/<utterance>.PHN; give the folder that holds TRAIN and TEST.")
    return found


def _found(root: Path, part: str) -> Iterator[Files]:
    for folder in (folder for folder in root.iterdir() if folder.is_dir() and folder.name.upper() == part):
        for phones in folder.glob("*/*/*"):
            name = "/".join((part, *phones.relative_to(folder).with_suffix("").parts)).upper()
            if phones.suffix.upper() == ".PHN" and not name.rsplit("/", 1)[1].startswith("SA"):
                audio = [path for path in phones.parent.glob(f"{phones.stem}.*") if path.suffix.upper() == ".WAV"]
                if len(audio) != 1:
                    raise DataError(f"{phones} has {len(audio)} recordings {phones.stem}.WAV beside it; there must be one.")
                yield Files(name, audio[0], phones)


def parse_phones(text: str, name: str) -> list[Segment]:
    """The lines `begin end phone` of a .PHN file, in order of time, without overlap.

    Raises:
        DataError: a line is something else, or a phone none of TIMIT's 61.
    """
    found: list[Segment] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        begin, end, phone = words if len(words) == 3 else ("", "", "")
        if not (begin.isdecimal() and end.isdecimal() and (found[-1].end if found else 0) <= int(begin) < int(end)):
            raise DataError(f"{name}, line {number}: {line!r}; wanted 'begin end phone' in samples, each line after the one before.")
        if phone not in FOLDING and phone != IGNORED:
            raise DataError(f"{name}, line {number}: {phone!r} is none of TIMIT's phones: {', '.join(sorted(FOLDING))}, {IGNORED}.")
        found.append(Segment(int(begin), int(end), phone))
    return found
