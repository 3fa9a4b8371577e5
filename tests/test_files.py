"""Atomic writing: whatever happens, the file is the old one or the new one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuromorph import files
from neuromorph.files import atomic_write


def test_new_and_replaced_content(tmp_path: Path):
    for data in (b"old", b"", b"new" * 100_000):
        atomic_write(tmp_path / "f", data)
        assert (tmp_path / "f").read_bytes() == data
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_path_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    atomic_write("f", b"here")
    assert (tmp_path / "f").read_bytes() == b"here"


def test_permissions_follow_the_umask(tmp_path: Path):
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "f", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "absent" / "f", b"")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str):
    atomic_write(tmp_path / "f", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(tmp_path / "f", b"new")
    monkeypatch.undo()
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


WRITER = """
import sys
from neuromorph.files import atomic_write
contents = [bytes([65 + i]) * 2_000_000 for i in range(2)]
print("ready", flush=True)
while True:
    for data in contents:
        atomic_write(sys.argv[1], data)
"""


def test_a_killed_writer_leaves_the_old_content_or_the_new(tmp_path: Path):
    """Real kills, at random moments of a process that writes two contents in turn without pause."""
    path = tmp_path / "f"
    chance = random.Random(0)
    whole = {bytes([65 + i]) * 2_000_000 for i in range(2)}
    atomic_write(path, min(whole))
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 0.03))
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        assert path.read_bytes() in whole
    leftovers = [p.name for p in tmp_path.iterdir() if p != path]
    assert all(name.startswith(".f.") and name.endswith(".tmp") for name in leftovers)


def test_a_reader_beside_a_writer_never_sees_half(tmp_path: Path):
    path = tmp_path / "f"
    whole = {bytes([65 + i]) * 2_000_000 for i in range(2)}
    atomic_write(path, min(whole))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        seen = {path.read_bytes() for _ in range(60) if not time.sleep(0.002)}
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert seen <= whole
