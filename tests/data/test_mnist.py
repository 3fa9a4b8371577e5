"""MNIST's files: where they are searched, that every damage is told, and the canonical numbers of the real ones."""

import gzip

import numpy as np
import pytest

from neuromorph.data import MNIST, folders, locate, read
from neuromorph.data.mnist import Images, load_mnist
from neuromorph.data.resources import payload
from neuromorph.errors import DataError
from tests.data.files import collection, idx, need_mnist, payloads, write

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder without data."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEUROMORPH_DATA", raising=False)
    return tmp_path


@pytest.fixture
def files():
    return payloads(np.random.default_rng(0))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("below", ["", "MNIST/raw"])
def test_what_is_written_comes_back(home, files, compress, below):
    write(home / "data" / below, files, compress)
    train, test = load_mnist(home / "data", collection(files))
    pixels = [np.frombuffer(data[16:], np.uint8) for name, data in files.items() if "images" in name]
    labels = [list(data[8:]) for name, data in files.items() if "labels" in name]
    for part, flat, wanted in zip((train, test), pixels, labels):
        assert np.array_equal(part.pixels.reshape(-1), flat)
        assert part.pixels.shape == (len(part), 16)
        assert part.labels.tolist() == wanted
        assert not part.pixels.flags.writeable
        assert not part.labels.flags.writeable


def test_the_first_folder_wins(home, files, monkeypatch):
    """root, $NEUROMORPH_DATA, cache; in each the folder itself, then MNIST/raw; in each the raw file, then .gz."""
    monkeypatch.setenv("NEUROMORPH_DATA", str(home / "variable"))
    tiny = collection(files)
    resource = tiny.files[1]
    one = {resource.name: files[resource.name]}
    expected = []
    for base in (home / "root", home / "variable", home / "home" / ".cache" / "neuromorph"):
        for folder in (base, base / "MNIST" / "raw"):
            for compress in (False, True):
                write(folder, one, compress)
                expected.append(folder / (resource.name + ".gz" * compress))
    assert folders(tiny, home / "root") == list(dict.fromkeys(path.parent for path in expected))
    for path in expected:
        assert locate(tiny, resource, home / "root") == path
        assert read(tiny, resource, home / "root") == files[resource.name]
        path.unlink()
    assert locate(tiny, resource, home / "root") is None


def test_a_missing_file_is_explained(home, files, monkeypatch):
    monkeypatch.setenv("NEUROMORPH_DATA", str(home / "variable"))
    with pytest.raises(DataError) as caught:
        load_mnist(home / "root", collection(files))
    text = str(caught.value)
    for said in ("train-images-idx3-ubyte", "root", "variable/MNIST/raw", ".cache/neuromorph", "neuromorph data fetch tiny"):
        assert said in text


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "empty"])
def test_damaged_files_are_refused(home, files, compress, damage):
    """Also where an intact file would be found in a later folder."""
    name, tiny = MNIST.files[2].name, collection(files)
    good = bytearray(files[name])
    bad = {"flip": good[:-1] + bytes([good[-1] ^ 1]), "cut": good[:-1], "longer": good + b"\0", "empty": b""}[damage]
    write(home / "a" / "MNIST" / "raw", files)
    write(home / "a", {**files, name: bytes(bad)}, compress)
    with pytest.raises(DataError, match=rf"{name}.*damaged or another file.*fetch tiny"):
        load_mnist(home / "a", tiny)


@pytest.mark.parametrize("damage", ["cut", "flip", "no gzip"])
def test_damaged_gzip_is_refused(home, files, damage):
    tiny = collection(files)
    whole = bytearray(gzip.compress(files[tiny.files[0].name]))
    whole[len(whole) // 2] ^= 0xFF if damage == "flip" else 0
    data = {"cut": whole[:-20], "flip": whole, "no gzip": files[tiny.files[0].name]}[damage]
    write(home / "a", files)
    (home / "a" / tiny.files[0].name).unlink()
    (home / "a" / (tiny.files[0].name + ".gz")).write_bytes(bytes(data))
    with pytest.raises(DataError, match=tiny.files[0].name + r"\.gz"):
        load_mnist(home / "a", tiny)


def test_a_gzip_bomb_is_not_unpacked(home, files):
    """100 MB of zeros in 100 kB: one byte more than the file's size is read."""
    tiny = collection(files)
    folder = write(home / "a", {})
    (folder / (tiny.files[0].name + ".gz")).write_bytes(gzip.compress(bytes(100_000_000), 1))
    with pytest.raises(DataError, match="holds more than"):
        read(tiny, tiny.files[0], folder)


def test_what_the_system_cannot_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        payload(tmp_path, 1)


@pytest.mark.parametrize("wrong", ["one label too few", "flat images", "a label of 10"])
def test_files_that_do_not_fit_each_other(home, files, wrong):
    """Right checksums, wrong content."""
    images, labels = MNIST.files[0].name, MNIST.files[1].name
    change = {
        "one label too few": {labels: idx(np.zeros(23, np.uint8))},
        "flat images": {images: idx(np.zeros((24, 16), np.uint8))},
        "a label of 10": {labels: idx(np.full(24, 10, np.uint8))},
    }[wrong]
    files = {**files, **change}
    write(home / "a", files)
    with pytest.raises(DataError, match="training files"):
        load_mnist(home / "a", collection(files))


def test_images_need_a_label_each():
    with pytest.raises(DataError, match="3 labels"):
        Images(np.zeros((2, 4), np.uint8), np.zeros(3, np.int64))


def test_the_real_files_are_the_canonical_ones():
    need_mnist()
    train, test = load_mnist()
    assert np.bincount(train.labels).tolist() == TRAIN_COUNTS
    assert np.bincount(test.labels).tolist() == TEST_COUNTS
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train.pixels.shape == (60_000, 784)
    assert test.pixels.shape == (10_000, 784)
    assert train.pixels.mean() / 255 == pytest.approx(0.13066, abs=5e-6)
    assert train.pixels.std() / 255 == pytest.approx(0.30811, abs=5e-6)
