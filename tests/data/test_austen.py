"""Texts in R's databases: written by the test from the format's definition, packed by dpkg itself, damaged; and the real novels."""

import hashlib
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromorph.data import AUSTEN, Collection, Resource, fetch, read
from neuromorph.data.austen import load_austen
from neuromorph.data.rdata import texts_of
from neuromorph.data.resources import DebianTexts
from neuromorph.errors import DataError
from tests.data.files import need_austen

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
MEMBER = "./usr/lib/R/texts/Rdata.rdb"


def entry(lines: list[bytes], version: int = 3, kind: int = 16) -> bytes:
    """One vector of texts by R Internals: header, versions, encoding, flags and length, each text with flags and length."""
    head = b"X\n" + struct.pack(">3i", version, 0x040201, 0x020300)
    if version == 3:
        head += struct.pack(">i", 5) + b"UTF-8"
    made = head + struct.pack(">2i", kind, len(lines))
    return made + b"".join(struct.pack(">2i", 0x40009, len(line)) + line for line in lines)


def database(*entries: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(each)) + zlib.compress(each) for each in entries)


@given(texts=st.lists(st.lists(st.binary(max_size=9), max_size=5), max_size=4), version=st.sampled_from([2, 3]))
def test_what_is_written_is_read(texts: list[list[bytes]], version: int) -> None:
    assert texts_of(database(*(entry(lines, version) for lines in texts)), "it") == texts


good = entry([b"A", b"few words"])
bad = {
    "no stream": b"\0\0\0\4abcd",
    "cut stream": database(good)[:-3],
    "other length": struct.pack(">I", len(good) + 1) + zlib.compress(good),
    "a bomb": struct.pack(">I", 100) + zlib.compress(bytes(10_000_000)),
    "a huge length": struct.pack(">I", 2**31) + zlib.compress(good),
    "no header": database(b"Y" + good[1:]),
    "numbers": database(entry([b"A"], kind=14)),
    "cut entry": database(good[:-1]),
    "longer entry": database(good + b"!"),
    "negative length": database(good[:-13] + struct.pack(">i", -9) + good[-9:]),
    "only a length": b"\0\0",
}


@pytest.mark.parametrize("damage", bad)
def test_damage_is_told(damage: str) -> None:
    with pytest.raises(DataError, match="that file is no lazy-load database of texts"):
        texts_of(bad[damage], "that file")


# ---- from a package: a real .deb, and an apt-get that copies it instead of asking the network


def packed(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    control = folder / "tree" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: tiny\n")
    subprocess.run(["dpkg-deb", "--build", str(folder / "tree"), str(folder / "tiny.deb")], check=True, capture_output=True)
    return folder / "tiny.deb"


def local_apt(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = folder / "bin" / "apt-get"
    apt.parent.mkdir(exist_ok=True)
    apt.write_text(f"#!/bin/sh\n{script}\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")


def tiny(text: bytes) -> Collection:
    return Collection("tiny", "tiny", DebianTexts("tiny", MEMBER), (Resource("tiny.txt", len(text), hashlib.sha256(text).hexdigest()),))


@needs_dpkg
def test_package_to_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"EMMA\n\nby\nSENSE\nand"
    deb = packed(tmp_path, {MEMBER: database(entry([b"EMMA", b"", b"by"]), entry([b"SENSE", b"and"]))})
    local_apt(tmp_path, f'test "$*" = "download tiny" && cp {deb} tiny_1_all.deb', monkeypatch)
    path = tmp_path / "data" / "tiny" / "tiny.txt"
    assert fetch(tiny(text), tmp_path / "data") == {path: True}
    assert path.read_bytes() == text == read(tiny(text), tiny(text).files[0], tmp_path / "data")
    local_apt(tmp_path, "exit 1", monkeypatch)
    assert fetch(tiny(text), tmp_path / "data") == {path: False}, "intact, so that apt is not called"
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="apt-get download tiny failed with code 1"):
        fetch(tiny(text), tmp_path / "data")


@needs_dpkg
def test_wrong_packages_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deb = packed(tmp_path, {MEMBER: database(entry([b"EMMA"])), "./usr/other": b"!"})
    local_apt(tmp_path, f"cp {deb} tiny_1_all.deb", monkeypatch)
    elsewhere = Collection("tiny", "tiny", DebianTexts("tiny", "./usr/nowhere"), tiny(b"EMMA").files)
    folder = Collection("tiny", "tiny", DebianTexts("tiny", "./usr/lib"), tiny(b"EMMA").files)
    other = Collection("tiny", "tiny", DebianTexts("tiny", "./usr/other"), tiny(b"EMMA").files)
    for collection, message in (
        (tiny(b"EMMB"), "the text of tiny has SHA-256"),
        (elsewhere, "is missing"),
        (folder, "no ordinary file"),
        (other, "no lazy-load database"),
    ):
        with pytest.raises(DataError, match=message):
            fetch(collection, tmp_path / "data")
    local_apt(tmp_path, "echo nothing", monkeypatch)
    with pytest.raises(DataError, match="left 0 packages"):
        fetch(tiny(b"EMMA"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


# ---- the novels


def test_a_missing_text_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NEUROMORPH_DATA", raising=False)
    with pytest.raises(DataError, match="neuromorph data fetch austen"):
        load_austen()


def test_the_real_novels() -> None:
    need_austen()
    text = load_austen()
    titles = ("EMMA", "MANSFIELD PARK", "NORTHANGER ABBEY", "Persuasion", "PRIDE AND PREJUDICE", "SENSE AND SENSIBILITY")
    assert [text.index(title) for title in titles] == sorted(text.index(title) for title in titles)
    assert len(text.splitlines()) == 73_422
    assert AUSTEN.files[0].size == len(text.encode())
