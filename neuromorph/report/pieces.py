"""Files of a run folder, read one by one; what is missing or damaged becomes a sentence instead."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neuromorph.errors import FormatError, NeuromorphError


class Pieces:
    """Reads files of a folder; `gaps`: by file, why it is not shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gaps: dict[str, str] = {}

    def __call__(self, name: str, read: Callable[[Path], Any]) -> Any:
        """What `read` finds in the file, or None."""
        try:
            return read(self.folder / name)
        except FileNotFoundError:
            self.gaps[name] = f"{name} is not in the run folder."
        except NeuromorphError as error:
            self.gaps[name] = f"{name} could not be read: {error}"
        return None


def read_json(path: Path) -> Any:
    """Whatever the JSON file holds.

    Raises:
        FormatError: it is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path} is not JSON ({error}); run the demo again.") from error


def integer_name(folder: Path, summary: Mapping[str, Any]) -> str:
    """model.<profile>.h5 as the summary names it, else the first there is."""
    names = sorted(path.name for path in folder.glob("model.*.h5"))
    wanted = f"model.{summary.get('profile', '<profile>')}.h5"
    return wanted if wanted in names or not names else names[0]
