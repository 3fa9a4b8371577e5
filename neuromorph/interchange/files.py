"""A recording as a file of the form that its name asks for."""

import io
import os
from pathlib import Path

from neuromorph.files import atomic_write
from neuromorph.recording import Recording, save_recording


def save_as(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write a recording, atomically: .npz for numpy and .nir (event data, see `neuromorph.interchange.nir`) by the name, else HDF5.

    Raises:
        NeuromorphError: nir is asked for and not installed.
    """
    form = Path(path).suffix
    if form == ".npz":
        recording.to_npz(path)
    elif form == ".nir":
        _save_nir(path, recording)
    else:
        save_recording(path, recording)


def _save_nir(path: str | os.PathLike[str], recording: Recording) -> None:
    data = recording.to_nir()
    import nir

    buffer = io.BytesIO()
    nir.write_data(buffer, data)  # pyright: ignore[reportArgumentType]
    atomic_write(path, buffer.getvalue())
