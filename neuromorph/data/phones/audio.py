"""Recordings of one channel in 16-bit PCM: NIST SPHERE, the format of TIMIT's .WAV files, and RIFF WAV."""

import io
import re
import wave
from dataclasses import dataclass

import numpy as np

from neuromorph.errors import DataError
from neuromorph.graph.populations import read_only
from neuromorph.shapes import Num

HEADER_BYTES = 1024
WANTED = {"channel_count": 1, "sample_n_bytes": 2}


@dataclass(frozen=True, eq=False)
class Recording:
    """`samples` int16 [n], `rate` [Hz]."""

    samples: Num[np.ndarray, " n"]
    rate: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", read_only(self.samples))


def parse(data: bytes, name: str) -> Recording:
    """The recording in a file's bytes, of either format; `name` is what messages call it.

    Raises:
        DataError: neither format, more than one channel, compressed, not 16-bit PCM, or cut.
    """
    if data.startswith(b"NIST_1A"):
        return _sphere(data, name)
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _riff(data, name)
    raise DataError(f"{name} starts with {data[:8]!r}; a recording starts with b'NIST_1A' (SPHERE) or b'RIFF' (WAV).")


def _sphere(data: bytes, name: str) -> Recording:
    """NIST SPHERE: a text header of `name -type value` lines up to end_head, padded to the size in its second line, then samples."""
    try:
        size = int(data[8:16])
        head = data[16:size].decode("ascii").split("end_head")[0]
    except ValueError as error:
        raise DataError(f"{name}: its NIST SPHERE header cannot be read: {error}.") from error
    fields = dict(re.findall(r"^(\w+) -(?:i|r|s\d+) (.*?)\s*$", head, flags=re.MULTILINE))
    coding, order = fields.get("sample_coding", "pcm"), fields.get("sample_byte_format", "01")
    if coding != "pcm" or order not in ("01", "10"):
        raise DataError(
            f"{name} is coded as '{coding}' in byte order '{order}'; only 'pcm' in 01 or 10 is read. Uncompress it with sph2pipe."
        )
    found = {key: _whole(fields, key, name) for key in (*WANTED, "sample_rate", "sample_count")}
    return _checked(name, data[size:], found, "<i2" if order == "01" else ">i2")


def _whole(fields: dict[str, str], key: str, name: str) -> int:
    value = fields.get(key, "")
    if not value.isdecimal():
        raise DataError(f"{name}: {key} is {value or 'missing'} in its NIST SPHERE header; it must be a whole number.")
    return int(value)


def _riff(data: bytes, name: str) -> Recording:
    try:
        with wave.open(io.BytesIO(data)) as file:
            found = {"channel_count": file.getnchannels(), "sample_n_bytes": file.getsampwidth(), "sample_rate": file.getframerate()}
            found["sample_count"] = file.getnframes()
            return _checked(name, file.readframes(file.getnframes()), found, "<i2")
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a chunk that ends beyond the file
        raise DataError(f"{name} is no readable WAV file: {error!r}.") from error


def _checked(name: str, payload: bytes, found: dict[str, int], kind: str) -> Recording:
    for key, value in WANTED.items():
        if found[key] != value:
            raise DataError(f"{name}: {key} is {found[key]}; only {value} is read.")
    count, rate = found["sample_count"], found["sample_rate"]
    if len(payload) < 2 * count or not count or not rate:
        raise DataError(f"{name} holds {len(payload) // 2} samples of {count} that its header says, at {rate} Hz; it is cut or empty.")
    return Recording(np.frombuffer(payload, kind, count).astype(np.int16), rate)
