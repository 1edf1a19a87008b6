"""A text with what rules ask of it again and again."""

from __future__ import annotations

import re
from functools import cached_property

_WORD = re.compile(r"\w+(?:['\u2019.]\w+)*|\.\.\.|[^\w\s]")


class Document:
    """One text, split into words once for all rules.

    A word is a run of letters, digits and underscores, held together by apostrophes and full stops inside it; three
    full stops are one word, and every other mark is one of its own. Tokenizers of a language split a little otherwise:
    no published definition names one.

    >>> Document("It's 3.5 km... (well-known)").words
    ["It's", '3.5', 'km', '...', '(', 'well', '-', 'known', ')']
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """The words and marks in their order."""
        return _WORD.findall(self.text)

    @cached_property
    def proper_words(self) -> list[str]:
        """The words that are no mark or symbol: those with a letter or a digit."""
        return [word for word in self.words if word.isalnum() or any(map(str.isalnum, word))]
