"""Names of dimensions and attributes as words: tidied, compared, and looked for in texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

UNKNOWN = "unknown"
"""What an item has where its text does not say; never an attribute of a dimension."""
LONGEST_NAME = 3
_REFUSED = frozenset(
    """acceptable unacceptable unknown none nothing other others various mixed unspecified undefined unclear null n/a na
    mentioned specified applicable attribute attributes dimension dimensions criteria criterion value values caption
    captions text texts any all category categories keyword keywords aspect aspects phrase phrases""".split()  # noqa: SIM905
)
_STOP = frozenset(
    """a an the of in on at to and or with by for from is are was were be been being it its his her their this that as
    into over under while during through near up down out off some very not no""".split()  # noqa: SIM905
)
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def tidy(name: str) -> str:
    """Write a name in the one way in which names are compared: small letters, single spaces, no marks around it.

    >>> tidy('  "Snowy   Field". ')
    'snowy field'
    """
    return " ".join(name.replace("_", " ").casefold().split()).strip(" .,;:!?\"'`()[]{}<>*-")


def is_name(name: str, longest: int = LONGEST_NAME) -> bool:
    """Whether a tidied name can be one: words, not too many, and none that says that there is nothing to say.

    >>> is_name("snowy field"), is_name("unacceptable criteria!"), is_name("a very long winded name"), is_name("n/a")
    (True, False, False, False)
    """
    words = _WORD.findall(name)
    return 0 < len(words) <= longest and name not in _REFUSED and not _REFUSED.intersection(words) and len(name) <= 40


@lru_cache(maxsize=65_536)
def stems(text: str) -> frozenset[str]:
    """Return the beginnings of a text's words that carry meaning, so that forms of one word meet.

    >>> stems("Running in the kitchens") == stems("run, kitchen")
    True
    """
    return frozenset(_stem(word) for word in _WORD.findall(text.casefold()) if word not in _STOP)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def stands_in(name: str, text: str) -> bool:
    """Whether every word of a name occurs in a text, in some form.

    >>> stands_in("snowy field", "A field under snow"), stands_in("beach", "A field under snow")
    (True, False)
    """
    wanted = stems(name)
    return bool(wanted) and wanted <= stems(text)


def support(name: str, texts: Iterable[str]) -> int:
    """Return in how many texts a name stands."""
    return sum(stands_in(name, text) for text in texts)


def evidence(name: str, text: str) -> str:
    """Return the shortest piece of a text in which every word of a name stands; "" where there is none.

    >>> evidence("snowy field", "A dog in a field, deep in snow, barks.")
    'field, deep in snow'
    """
    wanted = stems(name)
    places = [(match.start(), match.end(), _stem(match.group().casefold())) for match in _WORD.finditer(text)]
    hits = [place for place in places if place[2] in wanted]
    best = ""
    for start in range(len(hits)):
        seen: set[str] = set()
        for begin, end, stem in hits[start:]:
            seen.add(stem)
            if wanted and seen >= wanted:
                piece = text[hits[start][0] : end]
                best = piece if not best or len(piece) < len(best) else best
                break
            assert begin < end
    return best


def quoted(quote: str, text: str) -> str:
    """Return the place of a text that a quotation names, as the text writes it; "" where it does not stand there.

    >>> quoted("IN  the kitchen", "A dog in the kitchen."), quoted("in the garden", "A dog in the kitchen.")
    ('in the kitchen', '')
    """
    words = quote.strip(" .,;:!?\"'`…").split()
    if not words:
        return ""
    found = re.search(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE)
    return found.group() if found else ""


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without those that came before."""
    return tuple(dict.fromkeys(names))
