"""Simulators of graphs: one Protocol, loaded when asked for."""

from neuromorph.backends.base import Backend, Capabilities, backend, backends

__all__ = ["Backend", "Capabilities", "backend", "backends"]
