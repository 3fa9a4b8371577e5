"""Speech files written by the tests, and flite where it is there."""

import io
import os
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.data.files import REQUIRE


def sphere(samples: np.ndarray, *, order: str = "01", rate: int = 16_000, **fields: str) -> bytes:
    """A NIST SPHERE file, by the format's definition; `fields` replaces lines of its header, "" leaves one out."""
    lines = {
        "channel_count": "-i 1",
        "sample_count": f"-i {len(samples)}",
        "sample_rate": f"-i {rate}",
        "sample_n_bytes": "-i 2",
        "sample_byte_format": f"-s2 {order}",
        "sample_coding": "-s3 pcm",
        **fields,
    }
    head = (
        "NIST_1A\n   1024\ndatabase_id -s5 TIMIT\n" + "".join(f"{name} {value}\n" for name, value in lines.items() if value) + "end_head\n"
    )
    return head.encode().ljust(1024) + samples.astype("<i2" if order == "01" else ">i2").tobytes()


def riff(samples: np.ndarray, *, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def write_utterance(root: Path, name: str, samples: np.ndarray, phones: str, *, lower: bool = False) -> None:
    """`name`: "TRAIN/DR1/FCJF0/SX37"; `phones`: lines of the .PHN file."""
    path = root / (name.lower() if lower else name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending, data in ((".WAV", sphere(samples)), (".PHN", phones.encode())):
        path.with_name(path.name + (ending.lower() if lower else ending)).write_bytes(data)


def need_flite() -> None:
    """Skip where flite is absent, fail where it must be there."""
    if shutil.which("flite") is None:
        reason = "flite is not installed; Debian: apt-get install --no-install-recommends flite"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but {reason}.")
        pytest.skip(reason)
