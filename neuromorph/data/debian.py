"""Texts out of a Debian package, got by apt and read without installing it: no root, nothing unpacked onto the disk."""

import io
import shutil
import tarfile
from pathlib import Path

from neuromorph.data.client import call
from neuromorph.data.rdata import texts_of
from neuromorph.data.resources import VARIABLE, DebianTexts
from neuromorph.errors import DataError


def texts(source: DebianTexts, folder: Path) -> bytes:
    """All lines of the texts in a package, joined by line feeds; the package is downloaded into the empty `folder`.

    Raises:
        DataError: apt-get or dpkg-deb is missing or fails, or the package holds something else.
    """
    apt, dpkg = (_client(name, source.package) for name in ("apt-get", "dpkg-deb"))
    call([apt, "download", source.package], folder)
    archives = list(folder.glob("*.deb"))
    if len(archives) != 1:
        raise DataError(f"apt-get download {source.package} left {len(archives)} packages instead of one. Try it by hand.")
    tar = call([dpkg, "--fsys-tarfile", str(archives[0])], folder)
    lines = texts_of(member(tar, source.member, archives[0].name), f"{archives[0].name}: {source.member}")
    return b"\n".join(b"\n".join(text) for text in lines)


def _client(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise DataError(
            f"{name}, which gets the package {package}, is not installed: it comes with Debian and its kin. Run the command there and set "
            f"{VARIABLE} to a folder with the file that it made."
        )
    return found


def member(tar: bytes, name: str, archive: str) -> bytes:
    """One file of a tar archive; the others are never looked at.

    Raises:
        DataError: it is missing or no ordinary file, or the archive is damaged.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
            file = opened.extractfile(name) if opened.getmember(name).isfile() else None
            if file is None:
                raise DataError(f"{archive}: {name} is no ordinary file; the package is not what it was.")
            return file.read()
    except KeyError as error:
        raise DataError(f"{archive}: {name} is missing; the package is another version than expected.") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{archive} is damaged: {error}.") from error
