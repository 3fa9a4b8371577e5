"""Speech with a phone for every instant: a user's own TIMIT, and the free corpus flite-phones in the same folder layout.

`audio`: NIST SPHERE and WAV files; `timit`: layout, phones, parts; `mfcc`: features; `sentences`, `flite`: the free corpus.
"""

from neuromorph.data.phones.corpus import Corpus, Framed, load_corpus
from neuromorph.data.phones.flite import Recipe, make

__all__ = ["Corpus", "Framed", "Recipe", "load_corpus", "make"]
