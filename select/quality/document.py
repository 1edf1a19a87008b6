"""A text with what rules ask of it again and again."""

from __future__ import annotations

import re
from functools import cached_property

_WORD = re.compile(
    r"https?://\S*\w/?"
    r"|[^\W_]+(?:(?:[^\w\s\-/:<>=,]|::|://)+\w+|_+\w+)*"
    r"|\.{2,}|-{2,}|~+|\^+|//+|_|[^\w\s]"
)


class Document:
    """One text, split into words once for all rules.

    A word is a run of letters and digits, held together by marks inside it such as apostrophes, full stops and
    underscores, and parted by hyphens, slashes, colons and commas; an address of the web is one word, a line of hyphens
    too, and every other mark is one of its own. No published definition says what a word is; this is near to what
    spaCy's English tokenizer does, which datatrove asks.

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
        return [word for word in self.words if word.isalnum() or (len(word) > 1 and any(map(str.isalnum, word)))]
