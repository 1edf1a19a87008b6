"""datatrove: the filters that made FineWeb, as functions from texts to the first rule that objects; shared n-grams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from unittest.mock import patch

from curate.select.decontamination.matching import Match
from curate.select.quality.document import Document
from curate.select.quality.web import sentences

Judge = Callable[[Sequence[str]], list[str]]
_FILTERS = {
    "gopher-quality": ("gopher_quality_filter", "GopherQualityFilter"),
    "gopher-repetition": ("gopher_repetition_filter", "GopherRepetitionFilter"),
    "c4": ("c4_filters", "C4QualityFilter"),
    "c4-paragraphs": ("c4_filters", "C4ParagraphFilter"),
    "fineweb": ("fineweb_quality_filter", "FineWebQualityFilter"),
}
_RENAMED = {"< 3 paragraphs": "too_few_paragraphs"}


def datatrove(name: str, *, our_words: bool) -> Judge:
    """Return datatrove's filter that stands for a set; "" means that it keeps the text.

    With `our_words` its words and sentences are ours, so that only the rules are compared; else they are spaCy's.
    """
    module, kind = _FILTERS[name]
    filters = import_module(f"datatrove.pipeline.filters.{module}")
    document = import_module("datatrove.data").Document
    keeps = getattr(filters, kind)()

    def judge(texts: Sequence[str]) -> list[str]:
        with ExitStack() as patches:
            if our_words and hasattr(filters, "split_into_words"):
                patches.enter_context(patch.object(filters, "split_into_words", _words))
            if our_words and hasattr(filters, "split_into_sentences"):
                patches.enter_context(patch.object(filters, "split_into_sentences", _sentences))
            found = [keeps.filter(document(text=text, id="")) for text in texts]
        reasons = ["" if kept is True else kept[1] for kept in found]
        return [_RENAMED.get(reason, reason) for reason in reasons]

    return judge


class DatatroveRuns:
    """datatrove's filter of n-grams that a text shares with evaluation items, in memory.

    Its hash function takes bytes only, since xxhash 4 does; the filter gives it strings, which are encoded on the way.
    """

    version: str = "datatrove"
    uncomparable: tuple[str, ...] = ()

    def __init__(self, items: Sequence[str], size: int = 13) -> None:
        module = import_module("datatrove.pipeline.decont.n_grams")
        self._document = import_module("datatrove.data").Document
        config = module.NGramsDecontConfig(n_grams=size)
        self._filter = module.NGramsDecontFilter(".", config)
        hashed = self._filter.hash_func
        self._filter.hash_func = lambda words: hashed(words.encode())
        self._filter._index_hashes = {
            self._filter.hash_func(" ".join(words)): str(number)
            for number, item in enumerate(items)
            for words in module.ngrams(
                self._filter.tokenizer.word_tokenize(module.simplify_text(item, config.norm_config)), size
            )
        }

    def matches(self, texts: Sequence[str | None]) -> list[Match | None]:
        """Return for each text the item that it shares a run of words with, if any."""
        return [self._match(text or "") for text in texts]

    def _match(self, text: str) -> Match | None:
        document = self._document(text=text, id="")
        if self._filter.filter(document) is True:
            return None
        return Match(document.metadata["contaminated_task"], 1.0)


def _words(text: str, language: str) -> list[str]:
    return Document(text).words


def _sentences(line: str, language: str) -> list[str]:
    return [""] * sentences(line)
