"""Duplicates: which items say the same once letter case, white space and Unicode forms are set aside."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from hashlib import sha256

METHOD = "normalized-text:1"
"""Name and version of the method; the number grows whenever the same text would get another signature."""


def normalized(text: str) -> str:
    r"""Return the text in NFKC, case-folded, with every run of white space as one space and none at the ends.

    Applying it again changes nothing. Characters that are newer than this Python's Unicode tables are kept as they are.

    >>> normalized("  Straße\n\tﬁn ")
    'strasse fin'
    """
    if text.isascii():
        return " ".join(text.lower().split())
    # Folding can undo the normal form and the normal form can undo folding, so both are applied until they agree:
    # Unicode's definition of a compatibility caseless match (section 3.13, D146) needs at most these rounds.
    folded = unicodedata.normalize("NFD", text).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def signatures(texts: Iterable[str]) -> list[str]:
    """Return the SHA-256 of each text's normalized form in hex.

    Takes any iterable of texts, an Arrow column's `to_pylist()` included. Cost: linear in the characters.

    >>> signatures(["Hello  World", "hello world"]) == [signatures(["HELLO WORLD"])[0]] * 2
    True
    """
    return [_signature(text) for text in texts]


def _signature(text: str) -> str:
    return sha256(normalized(text).encode("utf-8", "surrogatepass")).hexdigest()
