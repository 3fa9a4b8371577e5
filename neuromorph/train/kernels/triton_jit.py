"""Triton's compiler behind the type checks that tests wrap functions in."""

import inspect
from collections.abc import Callable
from typing import Any

import triton


def compiled(function: Callable[..., Any]) -> Any:
    """Triton's version of a function; with TRITON_INTERPRET=1 in the environment numpy runs it, without a GPU."""
    return triton.jit(inspect.unwrap(function))
