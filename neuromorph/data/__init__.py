"""Data sets as files: where they are, whether they are intact, and how to get them. Nothing is fetched unless asked for.

`resources`: which files, their checksums and the folders searched; `fetch`: getting them; `mnist`, `austen`, `penn_treebank`, `phones`:
reading them.
"""

from neuromorph.data.fetch import fetch
from neuromorph.data.resources import AUSTEN, COLLECTIONS, MNIST, Collection, Resource, cache_folder, folders, locate, read

__all__ = ["AUSTEN", "COLLECTIONS", "MNIST", "Collection", "Resource", "cache_folder", "fetch", "folders", "locate", "read"]
