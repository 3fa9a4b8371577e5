"""lava-nc 0.10.0 on Python 3.11-3.13: its one break is a dataclass default that those versions refuse.

`lava/magma/compiler/var_model.py` gives a plain instance of another dataclass as a field's default. Since 3.11 a default
must be hashable; 3.10 shared the instance. Here the classes of that module, and no others, are made with
`unsafe_hash=True` while it is imported; the default stays shared, as on 3.10, and no file is changed.
"""

import dataclasses
import importlib
import sys

MODULE = "lava.magma.compiler.var_model"


def import_var_model():
    """Import Lava's module on this Python; call before anything else of Lava is imported."""
    if sys.version_info < (3, 11):  # noqa: UP036 (any interpreter may run the worker)
        return
    original = dataclasses.dataclass

    def dataclass(cls=None, /, **options):
        if cls is not None and cls.__module__ == MODULE:
            options["unsafe_hash"] = True
        return original(cls, **options)

    dataclasses.dataclass = dataclass
    try:
        importlib.import_module(MODULE)
    finally:
        dataclasses.dataclass = original
