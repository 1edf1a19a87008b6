"""The measures behind the rules of C4, mC4 and FineWeb, with the edge cases of datatrove 0.10, which made FineWeb.

C4 and FineWeb also rewrite pages (lines taken out, marks of citation removed). Items are content-addressed and stay as
they came, so here the rules only say what they object to, after leaving out the lines that C4 leaves out.
"""

from __future__ import annotations

import re

from curate.select.quality.document import Document
from curate.select.quality.gopher import repeated

MOST_WORD_CHARACTERS = 1_000
FEWEST_LINE_WORDS = 3
PARAGRAPH_CHARACTERS = 200
SHORT_LINE_CHARACTERS = 30
_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_LINE_ENDINGS = (".", "?", "!", '"', "'")
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_SENTENCE_END = re.compile(r"[.?!]+[\"')\]\u2019\u201d]*(?=\s|$)")
# Unicode's Sentence_Terminal marks of the scripts in wide use; datatrove lists historic scripts too.
_TERMINAL = tuple(
    map(
        chr,
        (
            *(0x21, 0x2E, 0x3F, 0x589, 0x61D, 0x61E, 0x61F, 0x6D4, 0x700, 0x701, 0x702, 0x7F9, 0x837, 0x839, 0x83D),
            *(0x83E, 0x964, 0x965, 0x104A, 0x104B, 0x1362, 0x1367, 0x1368, 0x166E, 0x17D4, 0x17D5, 0x1803, 0x1809),
            *(0x1944, 0x1945, 0x203C, 0x203D, 0x2047, 0x2048, 0x2049, 0x3002, 0xFE52, 0xFE56, 0xFE57, 0xFF01, 0xFF0E),
            *(0xFF1F, 0xFF61),
        ),
    )
)


def c4(document: Document) -> dict[str, float]:
    r"""Return the measures of the set `c4` by rule.

    A line is kept whose words are all of at most 1,000 characters, that ends with a full stop, question mark,
    exclamation mark or quotation mark but with no ellipsis, has 3 words or more, and speaks neither of JavaScript nor
    of cookies and terms of use. A kept line is one sentence, or as many as have an end in it (C4 asks NLTK's Punkt).

    >>> c4(Document("One ends here. Two ends there!\nmenu\nThis page needs JavaScript."))["too_few_sentences"]
    2
    """
    lorem = brackets = count = 0
    for line in map(str.strip, document.text.splitlines()):
        words = line.split()
        if len(line) > MOST_WORD_CHARACTERS and any(len(word) > MOST_WORD_CHARACTERS for word in words):
            continue
        if "[" in line:
            line = _CITATION.sub("", line)
        if not line.endswith(_LINE_ENDINGS) or line.endswith("...") or len(words) < FEWEST_LINE_WORDS:
            continue
        lowered = line.lower()
        if "lorem ipsum" in lowered:
            lorem += 1
        elif "javascript" in lowered:
            continue
        elif "{" in line:
            brackets += 1
        elif not any(policy in lowered for policy in _POLICIES):
            count += sentences(line)
    return {"lorem_ipsum": lorem, "curly_bracket": brackets, "too_few_sentences": count}


def sentences(line: str) -> int:
    """Return how many sentences a line has: as many as end in it, at least one.

    >>> sentences("One ends here. (Two do.) What follows is none")
    2
    """
    return max(1, len(_SENTENCE_END.findall(line)))


def c4_paragraphs(document: Document) -> dict[str, float]:
    r"""Return the measure of the set `c4-paragraphs`: how many lines have 200 characters or more.

    >>> c4_paragraphs(Document("a" * 200 + "\nshort"))
    {'too_few_paragraphs': 1}
    """
    return {"too_few_paragraphs": sum(len(line) >= PARAGRAPH_CHARACTERS for line in document.text.split("\n"))}


def fineweb(document: Document) -> dict[str, float]:
    r"""Return the measures of the set `fineweb` by rule, for a text that is not empty.

    >>> fineweb(Document("A list:\none\ntwo\nThe end of it."))["line_punct_ratio"]
    0.25
    """
    text = document.text
    lines = [line for line in text.split("\n") if line.strip()]
    breaks = text.count("\n")
    return {
        "line_punct_ratio": sum(line.endswith(_TERMINAL) for line in lines) / len(lines),
        "short_line_ratio": sum(len(line) <= SHORT_LINE_CHARACTERS for line in lines) / len(lines),
        "char_dup_ratio": repeated(lines)[1] / (len(text) - breaks),
        "list_ratio": breaks / len(document.words),
    }
