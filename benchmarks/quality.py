"""Quality: each named set of rules by speed, agreement with datatrove, and what it finds of planted faults.

Agreement: real texts (code, headers, JSON, prose; single pieces and five joined) are judged by datatrove's filters,
which made FineWeb, and by ours: the share of texts about which both say the same, by the first rule that objects when
both have our words, and by keep or drop when datatrove has its own (spaCy's). Faults: 100 news articles that end with a
full stop, pieces of two photographs, and made event sequences, of which none should be objected to, and each with every
fault planted; recall counts those that the fault's own rule objects to. Languages: news in English and faker's words in
nine others. Seconds are of one core, each method's beside its peer's in turn: datatrove's own filters with our words,
py3langid alone, and what the images' measures need of Pillow at the least. An order for several targets
(`curate.select.budgets`) is timed too, without a bar.
"""

from __future__ import annotations

import io
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from benchmarks.harness.paired import take_turns
from benchmarks.harness.planted_quality import (
    EVENT_FAULTS,
    IMAGE_FAULTS,
    LANGUAGES,
    TEXT_FAULTS,
    encoded,
    foreign,
    photographs,
    sequence,
)
from benchmarks.harness.quality_peers import datatrove
from curate.select.budgets import in_turns
from curate.select.quality.events import EventQuality
from curate.select.quality.images import ImageQuality
from curate.select.quality.languages import Language
from curate.select.quality.rules import RULE_SETS
from curate.select.quality.texts import TextQuality

PACKAGES = ("curate", "datatrove", "faker", "gensim", "numpy", "pillow", "py3langid", "scikit-learn", "spacy")
_ALL, _REPETITION = "all sets", "gopher-repetition"
Found = tuple[float, float]
"""The share of the good that nothing is said against, and of the faults that their own rule names."""


def run(options: Options) -> Result:
    """Compare with datatrove, plant faults, and time."""
    texts = _real_texts(300 if options.quick else 2_000, options.seed)
    options.note(f"{len(texts):,} real texts, {sum(map(len, texts)) / 1e6:.1f} million characters")
    same_words = {name: _agreement(name, texts, our_words=True) for name in RULE_SETS}
    own_words = {name: _agreement(name, texts, our_words=False) for name in RULE_SETS}
    options.note("planting faults")
    count = 20 if options.quick else 100
    news = _news(options.seed)
    found = {
        "texts": _texts(news[:count], options.seed),
        "languages": _languages(news[:count], options.seed),
        "images": _images(count // 2, options.seed),
        "events": _events(count, options.seed),
    }
    speeds, ratios = _speeds(texts, options.seed)
    ratios.append(_image_ratio(count // 2, options.seed))
    rows: list[dict[str, float | str]] = [
        {
            "method": name,
            "MB/s": speeds[name],
            "agrees, same words": same_words[name],
            "agrees, own words": own_words[name],
        }
        for name in RULE_SETS
    ]
    bars = [
        *(Bar(f"agreement with datatrove on the same words, {name}", same_words[name], 0.999) for name in RULE_SETS),
        *(Bar(f"agreement with datatrove on its own words, {name}", own_words[name], 0.97) for name in RULE_SETS),
        *(Bar(f"good {kind} that pass", good, 0.95) for kind, (good, _) in found.items()),
        *(Bar(f"planted faults found, {kind}", faults, 0.95) for kind, (_, faults) in found.items()),
        *ratios,
    ]
    details = {"MB/s": speeds, "candidates/s ordered for three targets by turns": _turns_speed(options.seed)}
    return Result(bars, rows, details, PACKAGES)


def _real_texts(count: int, seed: int) -> list[str]:
    """Return pieces of real texts, and as many made of five of a kind."""
    found = corpus(count, 0, seed)
    by_kind: dict[str, list[str]] = {}
    for text, kind in zip(found.texts, found.kinds, strict=True):
        by_kind.setdefault(kind, []).append(text)
    joined = ["".join(pieces[start : start + 5]) for pieces in by_kind.values() for start in range(0, len(pieces), 5)]
    return [*found.texts, *joined]


def _news(seed: int) -> list[str]:
    from gensim.test.utils import datapath

    lines = Path(datapath("lee_background.cor")).read_text(encoding="utf-8").splitlines()
    articles = [line.strip() for line in lines]
    long = [article for article in articles if 120 <= len(article.split()) <= 400 and article.endswith(".")]
    random.Random(seed).shuffle(long)
    return long


def _agreement(name: str, texts: Sequence[str], *, our_words: bool) -> float:
    ours = [reasons[0] if reasons else "" for reasons in TextQuality([name]).reasons(texts)]
    theirs = datatrove(name, our_words=our_words)(texts)
    same = [one == other if our_words else bool(one) == bool(other) for one, other in zip(ours, theirs, strict=True)]
    return float(np.mean(same))


def _texts(news: Sequence[str], seed: int) -> Found:
    generator = random.Random(seed)
    sets = [name for name in RULE_SETS if name != "c4-paragraphs"]  # an article of the corpus is one line
    quality = TextQuality(sets)
    good = np.mean([not reasons for reasons in quality.reasons(news)])
    named = [
        rule in reasons
        for rule, fault in TEXT_FAULTS.items()
        for reasons in quality.reasons([fault(text, generator) for text in news])
    ]
    return float(good), float(np.mean(named))


def _languages(news: Sequence[str], seed: int) -> Found:
    language = Language(["en"])
    good = np.mean([not reasons for reasons in language.reasons(news)])
    named = [reasons == (code,) for code in LANGUAGES for reasons in language.reasons(foreign(code, len(news), seed))]
    return float(good), float(np.mean(named))


def _pictures(count: int, seed: int) -> list[Any]:
    from PIL import Image

    return [Image.fromarray(photo) for photo in photographs(count, seed)]


def _images(count: int, seed: int) -> Found:
    generator = np.random.default_rng(seed)
    quality, pictures = ImageQuality(), _pictures(count, seed)
    good = np.mean([not reasons for reasons in quality.reasons(map(encoded, pictures))])
    named = [
        rule in reasons
        for rule, fault in IMAGE_FAULTS.items()
        for reasons in quality.reasons(encoded(fault(picture, generator)) for picture in pictures)
    ]
    return float(good), float(np.mean(named))


def _events(count: int, seed: int) -> Found:
    generator = np.random.default_rng(seed)
    kind = pa.list_(pa.struct([("time", pa.float64()), ("type", pa.int32())]))
    quality, sequences = EventQuality(earliest=0), [sequence(generator) for _ in range(count)]
    good = np.mean([not reasons for reasons in quality.reasons(pa.array(sequences, kind))])
    named = [
        rule in reasons
        for rule, fault in EVENT_FAULTS.items()
        for reasons in quality.reasons(pa.array([fault(events, generator) for events in sequences], kind))
    ]
    return float(good), float(np.mean(named))


def _speeds(texts: Sequence[str], seed: int) -> tuple[dict[str, float], list[Bar]]:
    """Return the megabytes a second of each method, and how many times faster than its peer each is."""
    part = texts[: len(texts) // 4]
    contenders: Mapping[str, Callable[[], object]] = {
        **{name: _judging(TextQuality([name]).reasons, texts) for name in RULE_SETS},
        _ALL: _judging(TextQuality(list(RULE_SETS)).reasons, texts),
        "datatrove": _judging(datatrove(_REPETITION, our_words=True), texts),
        "datatrove, all sets": _in_turn([datatrove(name, our_words=True) for name in RULE_SETS], texts),
        "language": _judging(Language(["en"]).reasons, part),
        "py3langid": _judging(_py3langid(), part),
    }
    timings = take_turns(contenders, clock=time.process_time)
    few = ("language", "py3langid")
    speeds = {name: _megabytes(part if name in few else texts) / timings.median(name) for name in contenders}
    peers = ((_REPETITION, "datatrove", 1.5), (_ALL, "datatrove, all sets", 1.5), ("language", "py3langid", 0.9))
    ratios = {pair: timings.times_faster(*pair[:2], seed) for pair in peers}
    return speeds, [
        Bar(f"times {peer.split(',')[0]}'s speed, {name}", ratio.value, bar, interval=ratio)
        for (name, peer, bar), ratio in ratios.items()
    ]


def _megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def _py3langid() -> Callable[[Sequence[str]], object]:
    """Return what tells languages with the library alone, of as much of a text as `Language` gives it."""
    from py3langid.langid import LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file("data/model.npz.xz", norm_probs=True)
    return lambda texts: [identifier.classify(text[:2_000]) for text in texts]


def _judging(judge: Callable[[Sequence[str]], object], texts: Sequence[str]) -> Callable[[], object]:
    return lambda: judge(texts)


def _in_turn(judges: Sequence[Callable[[Sequence[str]], object]], texts: Sequence[str]) -> Callable[[], object]:
    return lambda: [judge(texts) for judge in judges]


def _image_ratio(count: int, seed: int) -> Bar:
    """Hold the rules over images against the least that they need of Pillow: to decode, shrink, and write a PNG."""
    images = [encoded(picture) for picture in _pictures(count, seed)]
    contenders: Mapping[str, Callable[[], object]] = {
        "images": lambda: ImageQuality().reasons(images),
        "Pillow": lambda: [_decoded_and_written(image) for image in images],
    }
    ratio = take_turns(contenders, clock=time.process_time).times_faster("images", "Pillow", seed)
    return Bar("times the speed of Pillow's part alone, images", ratio.value, 0.5, interval=ratio)


def _decoded_and_written(image: bytes) -> int:
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        shown = opened.convert("RGB")
        shown.thumbnail((512, 512), Image.Resampling.BOX)
    written = io.BytesIO()
    shown.convert("L").save(written, "PNG")
    return written.tell()


def _turns_speed(seed: int) -> float:
    generator = np.random.default_rng(seed)
    scores, sizes = generator.random((3, 200_000)), generator.integers(1, 1_000, 200_000)
    timings = take_turns({"turns": lambda: in_turns(scores, sizes, [3, 2, 1])}, clock=time.process_time)
    return len(sizes) / timings.median("turns")


if __name__ == "__main__":
    sys.exit(main("quality", run))
