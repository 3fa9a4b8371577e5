"""Files made to harm: each is refused with the place named, or reads equal; never anything else."""

import resource
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from neuromorph.errors import FormatError
from neuromorph.graph import container, load, save
from neuromorph.graph.container import Group
from tests.strategies import random_graph

OUT = "neuromorph/content/populations/out"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound graph file, to be harmed."""
    save(tmp_path / "g.h5", random_graph(np.random.default_rng(3)))
    return tmp_path / "g.h5"


def refused(path: Path) -> str:
    with pytest.raises(FormatError) as error:
        load(path)
    assert str(path) in str(error.value)
    return str(error.value)


def harm(path: Path, change: Callable[[h5py.File], object]) -> str:
    """What the reader says of the file after a change."""
    with h5py.File(path, "r+") as file:
        change(file)
    return refused(path)


def instead_of_bias(make: Callable[[h5py.Group], object]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[f"{OUT}/bias"]
        make(file[OUT])

    return change


def test_the_file_before_it_is_harmed_reads(path: Path):
    assert load(path).readouts


# -- links ---------------------------------------------------------------------------------------------------------


def test_soft_link(path: Path):
    message = harm(path, instead_of_bias(lambda g: g.__setitem__("bias", h5py.SoftLink(f"/{OUT}/gain"))))
    assert f"/{OUT}/bias is a SoftLink; only hard links are read" in message


def test_external_link(path: Path, tmp_path: Path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["bias"] = np.zeros(3)
    message = harm(path, instead_of_bias(lambda g: g.__setitem__("bias", h5py.ExternalLink("other.h5", "/bias"))))
    assert f"/{OUT}/bias is a ExternalLink" in message


@pytest.mark.parametrize("name", ["neuromorph", "neuromorph/content"])
def test_links_in_place_of_the_root(path: Path, name: str):
    def change(file: h5py.File) -> None:
        file.move(name, "elsewhere")
        file[name] = h5py.SoftLink("/elsewhere")

    assert f"/{name} is a SoftLink" in harm(path, change)


def test_hard_link_cycle(path: Path):
    assert "/out/round is a second link" in harm(path, lambda f: f[OUT].__setitem__("round", f["neuromorph/content"]))


def test_alias_of_an_array(path: Path):
    message = harm(path, instead_of_bias(lambda g: g.__setitem__("bias", g["gain"])))
    assert f"/{OUT}/gain is a second link to an object already read (a cycle or alias)" in message


# -- storage -------------------------------------------------------------------------------------------------------


def test_external_storage(path: Path, tmp_path: Path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"TOPSECRET" * 10)
    message = harm(
        path, instead_of_bias(lambda g: g.create_dataset("bias", shape=(3,), dtype="<f8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]))
    )
    assert f"/{OUT}/bias keeps its data in another file (external storage)" in message


def test_virtual_dataset(path: Path):
    layout = h5py.VirtualLayout(shape=(3,), dtype="<f8")
    layout[:] = h5py.VirtualSource("/etc/hostname", "bias", shape=(3,))
    assert f"/{OUT}/bias is a virtual dataset" in harm(path, instead_of_bias(lambda g: g.create_virtual_dataset("bias", layout)))


COMPOUND = np.dtype([("a", "<f8"), ("b", "<i4")])
TYPES = {
    "object": lambda g: g.create_dataset("bias", (3,), dtype=h5py.ref_dtype),
    "vlen": lambda g: g.create_dataset("bias", (3,), dtype=h5py.vlen_dtype(np.float64)),
    "strings": lambda g: g.create_dataset("bias", data=["a", "b", "c"]),
    "fixed strings": lambda g: g.create_dataset("bias", data=np.array([b"a", b"b"])),
    "compound": lambda g: g.create_dataset("bias", data=np.zeros(3, COMPOUND)),
    "array type": lambda g: g.create_dataset("bias", (3,), dtype=np.dtype(("<f8", (2,)))),
    "complex": lambda g: g.create_dataset("bias", data=np.zeros(3, complex)),
    "big-endian": lambda g: g.create_dataset("bias", data=np.zeros(3, ">f8")),
    "booleans": lambda g: g.create_dataset("bias", data=np.zeros(3, bool)),
    "half": lambda g: g.create_dataset("bias", data=np.zeros(3, np.float16)),
    "opaque": lambda g: g.create_dataset("bias", data=np.zeros(3, "V5")),
}


@pytest.mark.parametrize("make", TYPES.values(), ids=TYPES)
def test_types_that_are_never_read(path: Path, make):
    message = harm(path, instead_of_bias(make))
    assert f"/{OUT}/bias has type" in message or f"/{OUT}/bias has shape" in message


def test_a_named_type_is_no_member(path: Path):
    message = harm(path, instead_of_bias(lambda g: g.__setitem__("bias", np.dtype("<f8"))))
    assert f"/{OUT}/bias is a Datatype; allowed: groups and datasets" in message


@pytest.mark.parametrize("options", [{"compression": "lzf"}, {"scaleoffset": 3}, {"compression": 32015, "allow_unknown_filter": True}])
def test_filters_beyond_the_three(path: Path, options: dict):
    message = harm(path, instead_of_bias(lambda g: g.create_dataset("bias", shape=(3,), chunks=(3,), dtype="<f8", **options)))
    assert f"/{OUT}/bias uses HDF5 filters" in message


@pytest.mark.parametrize(("data", "shape"), [(1.0, "()"), (h5py.Empty("<f8"), "None"), (np.zeros((1, 1, 1, 3)), "(1, 1, 1, 3)")])
def test_dimensions(path: Path, data, shape: str):
    message = harm(path, instead_of_bias(lambda g: g.create_dataset("bias", data=data)))
    assert f"/{OUT}/bias has shape {shape}; arrays have 1 to 3 dimensions" in message


# -- sizes ---------------------------------------------------------------------------------------------------------


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("shape", [(2**27,), (2**40,), (2**62,), (2**40, 2**40), (2**62, 2**62, 2**62)])
def test_an_array_that_claims_gigabytes_and_stores_nothing(path: Path, shape: tuple[int, ...]):
    before = peak()
    message = harm(path, instead_of_bias(lambda g: g.create_dataset("bias", shape=shape, dtype="<f8", chunks=(2**10,) * len(shape))))
    assert f"/{OUT}/bias claims" in message or f"/{OUT}/bias brings the file to" in message
    assert peak() - before < 2**26


def test_a_contiguous_array_that_stores_nothing(path: Path):
    message = harm(path, instead_of_bias(lambda g: g.create_dataset("bias", shape=(2**27,), dtype="<f8")))
    assert f"/{OUT}/bias claims {2**30} bytes but stores 0" in message


def test_one_chunk_short(path: Path):
    def make(group: h5py.Group) -> None:
        data = group.create_dataset("bias", shape=(30,), dtype="<f8", chunks=(10,), compression="gzip")
        data[:20] = 1.0

    assert f"/{OUT}/bias claims 3 chunks but stores 2" in harm(path, instead_of_bias(make))


def deflated_zeros(n_bytes: int) -> bytes:
    stream = zlib.compressobj(9)
    return stream.compress(bytes(n_bytes)) + stream.flush()


def test_a_chunk_that_inflates_beyond_its_size(path: Path):
    """HDF5's own filter would inflate all 256 MiB before it looked at the size of the chunk."""
    bomb = deflated_zeros(2**28)

    def make(group: h5py.Group) -> None:
        group.create_dataset("bias", shape=(3,), dtype="<f8", chunks=(3,), compression="gzip").id.write_direct_chunk((0,), bomb)

    before = peak()
    assert f"/{OUT}/bias: chunk (0,) does not hold the 24 bytes of a chunk" in harm(path, instead_of_bias(make))
    assert peak() - before < 2**26


@pytest.mark.parametrize("body", [b"no deflate stream", deflated_zeros(24)[:-3], deflated_zeros(23)])
def test_a_chunk_that_is_no_whole_deflate_stream(path: Path, body: bytes):
    def make(group: h5py.Group) -> None:
        group.create_dataset("bias", shape=(3,), dtype="<f8", chunks=(3,), compression="gzip").id.write_direct_chunk((0,), body)

    assert f"/{OUT}/bias: chunk (0,) does not hold" in harm(path, instead_of_bias(make))


@pytest.mark.parametrize("body", [bytes(24), deflated_zeros(24)])
def test_a_chunk_with_its_filters_switched_off(path: Path, body: bytes):
    def make(group: h5py.Group) -> None:
        data = group.create_dataset("bias", shape=(3,), dtype="<f8", chunks=(3,), compression="gzip")
        data.id.write_direct_chunk((0,), body, filter_mask=1)

    assert f"/{OUT}/bias: chunk (0,) does not hold" in harm(path, instead_of_bias(make))


def test_a_deflate_bomb_stays_within_the_limit_the_caller_sets(tmp_path: Path):
    """Zeros that are honestly stored shrink a thousandfold: only the limit on all arrays together stops those."""
    path = tmp_path / "zeros.h5"
    container.write(path, "test", 1, Group(arrays={name: np.zeros(2**20) for name in "abcd"}))
    assert path.stat().st_size < 2**17
    assert container.read(path, "test", 1, max_bytes=2**25).arrays["d"].nbytes == 2**23
    with pytest.raises(FormatError, match=r"/d brings the file to 33554432 bytes of arrays; at most 33554431 \(max_bytes\)"):
        container.read(path, "test", 1, max_bytes=2**25 - 1)


# -- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_numbers_must_be_finite(path: Path, value: float, text: str):
    n = random_graph(np.random.default_rng(3)).readouts[0].n
    bad = np.where(np.arange(n) == n - 1, value, 0.0)
    assert f"/{OUT}/bias[{n - 1}] is {text}; numbers must be finite" in harm(
        path, instead_of_bias(lambda g: g.create_dataset("bias", data=bad))
    )
    save(path, random_graph(np.random.default_rng(3)))
    assert f"/neuromorph/content@dt is {text}" in harm(path, lambda f: f["neuromorph/content"].attrs.__setitem__("dt", value))


def test_an_edited_number_is_noticed(path: Path):
    def change(file: h5py.File) -> None:
        file[f"{OUT}/gain"][0] += 1e-9

    assert "does not match its SHA-256" in harm(path, change)


# -- header --------------------------------------------------------------------------------------------------------

HEADERS = {
    "newer": ("version", np.int64(3), "format version 3 is newer than this neuromorph reads (2); update neuromorph"),
    "version 0": ("version", np.int64(0), "/neuromorph@version is 0; versions count from 1"),
    "version as text": ("version", np.bytes_("1"), "/neuromorph@version is '1'"),
    "wrong kind": ("format", np.bytes_("neuromorph.spikes"), "/neuromorph holds 'neuromorph.spikes', wanted 'neuromorph.graph'"),
    "number for format": ("format", np.int64(1), "/neuromorph holds 1"),
    "wrong digest": ("sha256", np.bytes_("0" * 64), "does not match its SHA-256"),
    "more": ("author", np.bytes_("me"), "/neuromorph holds author; allowed: format, version, sha256 and content"),
}


@pytest.mark.parametrize(("name", "value", "message"), HEADERS.values(), ids=HEADERS)
def test_headers(path: Path, name: str, value: object, message: str):
    assert message in harm(path, lambda f: f["neuromorph"].attrs.__setitem__(name, value))


MISSING = {
    "neuromorph@sha256": lambda f: f["neuromorph"].attrs.__delitem__("sha256"),
    "neuromorph/content": lambda f: f.move("neuromorph/content", "contents"),
    "neuromorph": lambda f: f.move("neuromorph", "other"),
}


@pytest.mark.parametrize(("place", "change"), MISSING.items(), ids=MISSING)
def test_missing_headers_and_members(path: Path, place: str, change):
    assert f"/{place} is missing" in harm(path, change)


def test_members_beside_content(path: Path):
    assert "/neuromorph holds notes; allowed" in harm(path, lambda f: f["neuromorph"].create_group("notes"))


def test_the_digest_covers_the_version(path: Path):
    """A version-1 file relabelled as another version must not pass for one of a later reader."""
    with h5py.File(path, "r+") as file:
        file["neuromorph"].attrs["version"] = np.int64(2)
    with pytest.raises(FormatError, match="SHA-256"):
        container.read(path, "graph", 2)


@pytest.mark.parametrize("name", ["neuromorph", "neuromorph/content"])
def test_a_dataset_in_place_of_a_group(path: Path, name: str):
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = np.zeros(3)

    assert f"/{name} is a Dataset, wanted a group" in harm(path, change)


# -- attributes ----------------------------------------------------------------------------------------------------

ATTRIBUTES = {
    "array": (lambda a: a.create("dt", np.zeros(2)), "has shape (2,); attributes are single values"),
    "null": (lambda a: a.create("dt", h5py.Empty("<f8")), "has shape None"),
    "reference": (lambda a: a.create("dt", h5py.Reference(), dtype=h5py.ref_dtype), "is of type object"),
    "variable-length text": (lambda a: a.create("dt", "0.001"), "is of type object"),
    "compound": (lambda a: a.create("dt", np.zeros((), COMPOUND)), "is of type"),
    "big-endian": (lambda a: a.create("dt", np.float64(1e-3), dtype=">f8"), "is of type >f8"),
    "unsigned": (lambda a: a.create("dt", np.uint64(2**63)), "is of type uint64"),
    "huge": (lambda a: a.create("dt", np.bytes_("x" * 60_001)), "has 60001 bytes; at most 60000"),
    "no UTF-8": (lambda a: a.create("dt", np.bytes_(b"\xff\xfe")), "cannot be read (UnicodeDecodeError"),
}


@pytest.mark.parametrize(("change", "message"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attributes(path: Path, change, message: str):
    said = harm(path, lambda f: change(f["neuromorph/content"].attrs))
    assert "/neuromorph/content@dt" in said
    assert message in said


# -- trees ---------------------------------------------------------------------------------------------------------


def test_too_many_members(path: Path):
    def change(file: h5py.File) -> None:
        for i in range(4097):
            file["neuromorph/content/metadata"].create_group(str(i))

    assert "/neuromorph/content/metadata has 4097 members" in harm(path, change)


def test_too_many_attributes(path: Path):
    def change(file: h5py.File) -> None:
        for i in range(4097):
            file["neuromorph/content/metadata"].attrs[f"a{i}"] = np.int64(i)

    assert "4098 attributes; at most 4096 each" in harm(path, change)


def test_deep_nesting(path: Path):
    message = harm(path, lambda f: f["neuromorph/content"].create_group("a/b/c/d/e/f/g"))
    assert "/neuromorph/content/a/b/c/d/e/f/g is nested deeper than 6 groups" in message
