"""What a result was measured on."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "numpy", "numba", "norse", "snntorch", "spyx", "jax")


def machine() -> dict[str, str | int]:
    """Processor, number of processors, system, library versions, commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    ).stdout.strip()
    versions = {name: found for name in LIBRARIES if (found := _version(name))}
    return {
        "processor": _processor(),
        "processors": os.cpu_count() or 1,
        "system": platform.system(),
        "python": platform.python_version(),
        **versions,
        "commit": commit,
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in fields.items()}
    flags = found.get("flags", "")
    simd = next((name for name in ("avx512f", "avx2", "sse4_2") if name in flags), "")
    return f"{found.get('model name', platform.machine())}, family {found.get('cpu family', '?')} model {found.get('model', '?')}, {simd}"
