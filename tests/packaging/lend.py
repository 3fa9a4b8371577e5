"""Lend the environment that this runs in what a checkout's environment has: lend.py SITE_PACKAGES.

Its packages come after this one's own, so that neuromorph is that of the wheel. Kernels that numba has compiled from the very same files
are lent too: they need not be compiled once more.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lend(site: Path, lent: str) -> None:
    shim = "import _distutils_hack; _distutils_hack.add_shim()"  # setuptools' own .pth file is not read there
    (site / "lent.pth").write_text(f"{lent}\n{shim}\n")
    for file in (ROOT / "neuromorph").rglob("*.py"):
        copy = site / file.relative_to(ROOT)
        if copy.exists() and copy.read_bytes() == file.read_bytes():
            times = file.stat()
            os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
            cache = copy.parent / "__pycache__"
            cache.mkdir(exist_ok=True)
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.nb[ci]"):
                shutil.copy(compiled, cache)


if __name__ == "__main__":
    lend(Path(sysconfig.get_path("purelib")), sys.argv[1])
