"""Brian2 as a guest: its preferences, active device and log level are the process's, so each run borrows and returns them."""

import gc
import importlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

LOCK = threading.RLock()
FLAGS = ["-w", "-O2", "-ffp-contract=off", "-std=c++17"]
"""No -ffast-math and no fused multiply-add: floats are those of the other targets in every bit."""

PREFERENCES: Mapping[str, object] = {
    "core.default_float_dtype": np.float64,
    "core.network.default_schedule": ["start", "groups", "thresholds", "synapses", "resets", "end"],
    "core.stop_on_keyboard_interrupt": False,  # which would end a run early without an error
    "codegen.loop_invariant_optimisations": False,  # which sorts the terms of a sum anew: a - b - c becomes a - (b + c)
    "codegen.string_expression_target": "numpy",
    "codegen.cpp.extra_compile_args": None,
    "codegen.cpp.extra_compile_args_gcc": FLAGS,
    "codegen.cpp.extra_compile_args_msvc": ["/w", "/O2", "/fp:strict", "/std:c++17"],
    "devices.cpp_standalone.openmp_threads": 0,
    "devices.cpp_standalone.run_environment_variables": {},
}


@contextmanager
def borrowed(target: str, folder: str | None) -> Iterator[Any]:
    """The module brian2, set up for `target`, with a device of its own; `folder`: cython's cache.

    On leaving, also by an error, preferences, active device (with its default clock), log level and environment variables
    are as before.
    One run at a time in a process; other threads wait.
    """
    with LOCK:
        b2 = _import()
        gc.collect()  # the last run's network, a cycle; while it lives, Brian2 gives the same objects other names and compiles anew
        changes = {**PREFERENCES, "codegen.target": "cython" if target == "cython" else "numpy"}
        if target == "cython" and folder is not None:
            changes["codegen.runtime.cython.cache_dir"] = folder
        with _preferences(b2, changes), _quiet(b2), _environment(), _device(target):
            yield b2


@contextmanager
def _preferences(b2: Any, changes: Mapping[str, object]) -> Iterator[None]:
    before = {key: b2.prefs[key] for key in changes}
    try:
        for key, value in changes.items():
            b2.prefs[key] = value
        yield
    finally:
        for key, value in before.items():
            b2.prefs[key] = value


@contextmanager
def _quiet(b2: Any) -> Iterator[None]:
    handler = b2.BrianLogger.console_handler
    before = handler.level
    handler.setLevel(logging.ERROR)
    try:
        yield
    finally:
        handler.setLevel(before)


@contextmanager
def _environment() -> Iterator[None]:
    """Compiling sets variables: setuptools PLAT, brian2 those of MSVC."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _device(target: str) -> Iterator[None]:
    """A new device. Brian2's `set_device` would activate the user's device anew and copy its default clock's dt."""
    devices: Any = importlib.import_module("brian2.devices.device")
    standalone = importlib.import_module("brian2.devices.cpp_standalone.device")
    device = standalone.CPPStandaloneDevice() if target == "cpp_standalone" else devices.RuntimeDevice()
    before = devices.active_device
    devices.active_device = device
    try:
        device.activate(build_on_run=False)
        yield
    finally:
        devices.active_device = before


def _import() -> Any:
    """brian2, without what its first import does to the process: SIGINT handler, excepthook, captured warnings."""
    if "brian2" in sys.modules:
        return importlib.import_module("brian2")
    hook, shown = sys.excepthook, warnings.showwarning
    with _no_new_handlers():
        b2 = importlib.import_module("brian2")
    sys.excepthook = hook
    if warnings.showwarning is not shown:
        logging.captureWarnings(False)
    logging.getLogger("py.warnings").removeHandler(b2.BrianLogger.console_handler)
    return b2


@contextmanager
def _no_new_handlers() -> Iterator[None]:
    """Handlers of signals stay; setting one would also forbid the import outside the main thread, as in a Dask worker."""
    setter = signal.signal
    signal.signal = lambda number, handler: signal.getsignal(number)
    try:
        yield
    finally:
        signal.signal = setter
