"""What the worker imports, looked up without importing it. Run as a script by the interpreter in question."""

import importlib.util

MODULES = ("lava.magma", "numpy", "scipy", "networkx", "asteval")


def missing():
    """Modules that this interpreter lacks."""
    return [name for name in MODULES if not _found(name)]


def _found(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    print(*missing())
