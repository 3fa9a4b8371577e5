"""Simulators of graphs: one Protocol, loaded when asked for."""

from neuromorph.backends.base import Backend, Capabilities, backends, get

__all__ = ["Backend", "Capabilities", "backends", "get"]
