"""Published heuristics by name: what each measures of a text, from which bound on it objects, and who published it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from curate.select.quality import gopher, web
from curate.select.quality.bounds import Measures, Rule
from curate.select.quality.document import Document


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that were published together; `measure` returns their measures for each text, none of which is empty."""

    name: str
    source: str
    rules: tuple[Rule, ...]
    measure: Callable[[Sequence[Document]], Sequence[Measures]]


def _each(measure: Callable[[Document], Measures]) -> Callable[[Sequence[Document]], Sequence[Measures]]:
    return lambda documents: [measure(document) for document in documents]


_RAE = "Rae et al. 2021, arXiv 2112.11446, appendix A.1"
_DUPLICATED = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
_GOPHER_QUALITY = RuleSet(
    "gopher-quality",
    _RAE,
    (
        Rule("gopher_short_doc", "at least", 50, "words"),
        Rule("gopher_long_doc", "at most", 100_000, "words"),
        Rule("gopher_below_avg_threshold", "at least", 3, "mean length of words"),
        Rule("gopher_above_avg_threshold", "at most", 10, "mean length of words"),
        Rule("gopher_too_many_hashes", "at most", 0.1, "hash signs for each word"),
        Rule("gopher_too_many_ellipsis", "at most", 0.1, "ellipses for each word"),
        Rule("gopher_too_many_bullets", "at most", 0.9, "share of lines that begin with a bullet"),
        Rule("gopher_too_many_end_ellipsis", "at most", 0.3, "share of lines that end with an ellipsis"),
        Rule("gopher_below_alpha_threshold", "at least", 0.8, "share of words with a letter"),
        Rule("gopher_enough_stop_words", "at least", 2, "different ones of eight frequent English words"),
    ),
    _each(gopher.quality),
)
_GOPHER_REPETITION = RuleSet(
    "gopher-repetition",
    f"{_RAE}, table A1",
    (
        Rule("dup_para_frac", "at most", 0.3, "share of paragraphs that stood before"),
        Rule("dup_para_char_frac", "at most", 0.2, "share of characters in them"),
        Rule("dup_line_frac", "at most", 0.3, "share of lines that stood before"),
        Rule("dup_line_char_frac", "at most", 0.2, "share of characters in them"),
        *(
            Rule(f"top_{n}_gram", "at most", bound, f"share of characters in the most frequent {n} words")
            for n, bound in ((2, 0.2), (3, 0.18), (4, 0.16))
        ),
        *(
            Rule(f"duplicated_{n}_n_grams", "at most", bound, f"share of characters in {n} words that stood before")
            for n, bound in _DUPLICATED
        ),
    ),
    gopher.repetition,
)
_C4 = RuleSet(
    "c4",
    "Raffel et al. 2020, JMLR 21(140), section 2.2, with the lines that its code leaves out",
    (
        Rule("lorem_ipsum", "at most", 0, "kept lines with 'lorem ipsum'"),
        Rule("curly_bracket", "at most", 0, "kept lines with a curly bracket"),
        Rule("too_few_sentences", "at least", 5, "sentences in kept lines"),
    ),
    _each(web.c4),
)
_C4_PARAGRAPHS = RuleSet(
    "c4-paragraphs",
    "Xue et al. 2021, arXiv 2010.11934, section 3.1 (mC4)",
    (Rule("too_few_paragraphs", "at least", 3, "lines of 200 characters or more"),),
    _each(web.c4_paragraphs),
)
_FINEWEB = RuleSet(
    "fineweb",
    "Penedo et al. 2024, arXiv 2406.17557, section 3.6, with the additions of its code",
    (
        Rule("line_punct_ratio", "at least", 0.12, "share of lines that end a sentence"),
        Rule("short_line_ratio", "at most", 0.67, "share of lines of 30 characters or fewer"),
        Rule("char_dup_ratio", "at most", 0.01, "share of characters in lines that stood before"),
        Rule("list_ratio", "at most", 0.3, "new lines for each word"),
    ),
    _each(web.fineweb),
)
RULE_SETS: Mapping[str, RuleSet] = MappingProxyType(
    {one.name: one for one in (_GOPHER_QUALITY, _GOPHER_REPETITION, _C4, _C4_PARAGRAPHS, _FINEWEB)}
)
"""The published sets by name. Bounds, edge cases and names of rules are those of datatrove 0.10, which made FineWeb."""
