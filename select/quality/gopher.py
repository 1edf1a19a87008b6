"""The measures behind Gopher's rules of quality and of repetition (Rae et al. 2021, arXiv 2112.11446, appendix A.1).

Where the paper leaves a case open, it is decided as in datatrove 0.10, by which FineWeb was made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from curate.select.quality.document import Document
from curate.select.quality.runs import MOST_FREQUENT, REPEATED, covered_characters

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_BULLETS = ("•", "-")
_ELLIPSES = ("...", "…")
_PARAGRAPH_ENDS = re.compile(r"\n{2,}")
_LINE_ENDS = re.compile(r"\n+")


def quality(document: Document) -> dict[str, float]:
    """Return the measures of the set `gopher-quality` by rule, for a text that is not empty.

    >>> quality(Document("Ask the cat, and be kind."))["gopher_enough_stop_words"]
    3
    """
    text, words, proper = document.text, document.words, document.proper_words
    mean = sum(map(len, proper)) / len(proper) if proper else float("nan")
    lines = text.splitlines()
    lettered = sum(1 for word in proper if word.isalpha() or any(map(str.isalpha, word)))
    return {
        "gopher_short_doc": len(proper),
        "gopher_long_doc": len(proper),
        "gopher_below_avg_threshold": mean,
        "gopher_above_avg_threshold": mean,
        "gopher_too_many_hashes": text.count("#") / len(words),
        "gopher_too_many_ellipsis": sum(map(text.count, _ELLIPSES)) / len(words),
        "gopher_too_many_bullets": sum(line.lstrip().startswith(_BULLETS) for line in lines) / len(lines),
        "gopher_too_many_end_ellipsis": sum(line.rstrip().endswith(_ELLIPSES) for line in lines) / len(lines),
        "gopher_below_alpha_threshold": lettered / len(words),
        "gopher_enough_stop_words": len(STOP_WORDS.intersection(words)),
    }


def repetition(documents: Sequence[Document]) -> list[dict[str, float]]:
    r"""Return the measures of the set `gopher-repetition` by rule for each text, none of them empty.

    >>> repetition([Document("over and out\nover and out\ndone")])[0]["dup_line_frac"]
    0.3333333333333333
    """
    sizes = [len(document.text) for document in documents]
    names = [*(f"top_{n}_gram" for n in MOST_FREQUENT), *(f"duplicated_{n}_n_grams" for n in REPEATED)]
    columns = [column.tolist() for column in covered_characters(documents).values()]
    return [
        _parts(document.text) | {name: covered / size for name, covered in zip(names, row, strict=True)}
        for document, size, row in zip(documents, sizes, zip(*columns, strict=True), strict=True)
    ]


def _parts(text: str) -> dict[str, float]:
    """Return the measures of whole paragraphs and lines."""
    paragraphs, lines = _PARAGRAPH_ENDS.split(text.strip()), _LINE_ENDS.split(text)
    same_paragraphs, paragraph_characters = repeated(paragraphs)
    same_lines, line_characters = repeated(lines)
    return {
        "dup_para_frac": same_paragraphs / len(paragraphs),
        "dup_para_char_frac": paragraph_characters / len(text),
        "dup_line_frac": same_lines / len(lines),
        "dup_line_char_frac": line_characters / len(text),
    }


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """Return how many of the parts stood before, and how many characters they have.

    >>> repeated(["a line", "another", "a line"])
    (1, 6)
    """
    known: set[str] = set()
    count = characters = 0
    for part in parts:
        if part in known:
            count += 1
            characters += len(part)
        known.add(part)
    return count, characters
