"""Jane Austen's six novels, about 725,000 words: a free text of the size and difficulty of the Penn Treebank's."""

import os

from neuromorph.data.resources import AUSTEN, read


def load_austen(root: str | os.PathLike[str] | None = None) -> str:
    """The whole text, in the order of the titles. `root`: folder searched first, see `resources.folders`.

    Raises:
        DataError: it is missing (`neuromorph data fetch austen` gets it) or damaged.
    """
    return read(AUSTEN, AUSTEN.files[0], root).decode()
