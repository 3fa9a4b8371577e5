"""Sentences for the free corpus: a small grammar over common English words, written for this purpose, which anyone may use.

Training and test share the little words and the forms; of nouns, verbs, adjectives, adverbs and names every fifth is in test sentences
alone, so that most of what is heard there was never heard in training.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np

from neuromorph.errors import DataError

Part: TypeAlias = Literal["TRAIN", "TEST"]

FORMS = (
    "the {adjective} {noun} {verb} {the} {noun} {near} {the} {noun}",
    "{name} {adverb} {verb} {the} {adjective} {noun}",
    "{near} {the} {noun} {name} {verb} {the} {noun} and {the} {noun}",
    "why has {name} {adverb} {verb} {the} {adjective} {noun}",
    "{the} {noun} of {name} {verb} {the} {adjective} {adjective} {noun}",
    "{name} and {name} {verb} {the} {noun} while {the} {noun} {verb} {the} {adjective} {noun}",
    "{adverb} {the} {noun} {verb} {the} {noun} that {name} {verb} {near} {the} {noun}",
    "every {adjective} {noun} {verb} {the} {noun} {near} {the} {adjective} {noun}",
)
SHARED = {
    "the": ["the", "a", "this", "that", "each", "our", "your", "her", "his", "their", "another", "some"],
    "near": [
        "near",
        "under",
        "over",
        "behind",
        "beside",
        "with",
        "without",
        "before",
        "after",
        "above",
        "across",
        "against",
        "around",
        "through",
        "beyond",
        "below",
    ],
}
WORDS = {
    "noun": """river table doctor picture garden treasure engine window letter farmer pleasure mountain teacher kitchen village orchestra
        bottle number soldier castle feather question lemon valley hammer carpet measure voyage basket painter oyster story island machine
        lantern leather judge bridge church shoulder finger thunder weather brother mirage package cushion vision hospital powder
        noise choice joy toy boy oil coin point cow mouth house cloud flower tower power hour fire wire tie pie sky time knife light
        school moon fruit shoe book foot wood hook bush sugar push ball wall law horse door floor north bath path cloth
        thumb earth birth worth bird girl shirt nurse word world ring song tongue king spring cheese chain chief cheek jar jam job page
        cage bag leg rug fog egg zebra zone zoo puzzle music yard youth year yolk wheel whale wagon vase voice valve veil van father
        mother feather cottage beach bench branch lunch ditch watch match witch badge edge cabbage garage collage visit lake gate plate
        snake wave cave face place name game rain train paint grain boat coat goat road stone bone rose nose phone snow window ghost""",
    "verb": """measured carried followed painted covered noticed watched enjoyed destroyed avoided joined pointed allowed counted found
        drowned surrounded tried buried married studied copied answered gathered offered ordered wondered bothered teased pleased closed
        chose froze raised amazed chased faced placed missed kissed crossed pressed dressed pushed washed brushed crushed finished
        changed charged managed damaged judged urged touched matched reached searched taught brought caught bought fought thought sought
        took shook looked cooked cut shut hurt turned learned burned served heard saw drew threw knew grew flew moved proved lost
        held built sent lent met kept left felt dealt sold told drove broke spoke woke wrote rode showed followed borrowed swallowed
        thanked linked drank sang rang hung hugged begged dragged dug gave saved shaved loved shoved lived lifted used excused""",
    "adjective": """old young yellow purple orange silver golden wooden thirsty healthy wealthy cloudy noisy royal loyal moist joyful
        loud round proud brown mild wild wise white bright tight quiet heavy happy hungry angry lazy crazy easy busy fuzzy dizzy usual
        casual visual leisurely large sharp dark hard warm short small tall broad strong long wrong soft lost thin thick
        smooth other northern southern worthy dirty certain perfect nervous curved good full cruel cool blue new true
        huge cute beautiful useful fresh foreign special social precious vicious cheap rich ancient gentle strange average major
        private narrow shallow frozen open lonely holy main plain vague famous great grey late lame safe brave""",
    "adverb": """slowly quickly never always often usually gently proudly loudly happily early rarely clearly nearly badly sadly warmly
        calmly truly fully surely partly mostly only wholly almost maybe barely fairly safely joyfully royally thirstily smoothly
        rather further again thoroughly casually visibly strangely largely roughly toughly enough yesterday""",
    "name": """George Joyce Roy Judith Hugh Ruth Thomas Arthur Beth Heather Charles Richard Rachel Charlotte Shirley Sean Jason Jean
        Zoe Susan Isaac Wallace Edward Yvonne Julia Eugene Vivian Victor Oliver Paul Laura Dawn Joan Noah Owen Amy James Jane Ian
        Irene Brian Violet Doyle Troy Howard Powell Bruce Luke Lucy Kirk Pearl Burt Curt Hank Frank Ming Ingrid Thelma Keith""",
}


def vocabulary(part: Part) -> dict[str, Sequence[str]]:
    """Words of each kind that sentences of the part may hold."""
    chosen = {kind: [word for k, word in enumerate(_once(words)) if (k % 5 == 4) == (part == "TEST")] for kind, words in WORDS.items()}
    return {**SHARED, **chosen}


def _once(words: str) -> Sequence[str]:
    return tuple(dict.fromkeys(words.split()))


def draw(part: Part, n: int, seed: int) -> list[str]:
    """n different sentences, from nothing but part and seed; fewer are the first of more."""
    if n < 1:
        raise DataError(f"{n} sentences are asked for; at least 1.")
    words, generator = vocabulary(part), np.random.default_rng([seed, part == "TEST"])
    found: dict[str, None] = {}
    for sentence in _sentences(words, generator):
        found[sentence] = None
        if len(found) == n:
            break
    return list(found)


def _sentences(words: dict[str, Sequence[str]], generator: np.random.Generator) -> Iterator[str]:
    def word(field: re.Match[str]) -> str:
        kind = words[field[1]]
        return kind[int(generator.integers(len(kind)))]

    while True:
        form = FORMS[int(generator.integers(len(FORMS)))]
        text = re.sub(r"\{(\w+)\}", word, form)
        yield text[0].upper() + text[1:] + ("?" if form.startswith("why") else ".")
