"""Subpopulation discovery: planted captions with a real 1.5B model, replayed; ablations on a fake; a spurious place.

**The real model** (Qwen2.5-Coder 1.5B Instruct, Q4, served by llama.cpp on loopback). Three draws of 300 captions with
three planted dimensions of four attributes each; the structure is discovered in them, 80 items are assigned by the
model and the others by the classifier where it is sure. Every answer is recorded with its request in
`benchmarks/recorded`: a draw that is recorded is replayed for nothing. One that is not is asked, about ten minutes on
two cores, if it is the draw of `--seed` and the model is there; the bars are over the draws that could be measured.

An adjusted Rand index compares the attribute assigned with the one that the caption says (unknown where it says none).
An attribute is invented where its words mean none of the planted ones. The wording and the defaults were chosen on the
draw of seed 100, which is not measured here.

**Ablations** on the fake analyst (a share of its answers is wrong, by a hash), over five draws: named so in the table.

**A spurious place**: a learner is trained where nearly every calm animal is in a kitchen. The places are discovered by
the fake analyst, the worst slice must be found and confirmed, and the learner is trained again on a set with a quota
for each subpopulation. The group that is worst, and the averages, on texts that neither has seen;
how clear the classes are and the learning rate were chosen on seeds 10 and 11.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.discovered import Figures, measure
from benchmarks.harness.fake_analyst import FakeAnalyst
from benchmarks.harness.instruct_model import MODEL, InstructServer, RecordedAnswers
from benchmarks.harness.planted_captions import plant
from benchmarks.harness.spurious import LABELS, Spurious, spurious, worst_group
from curate.annotate.discovery.analyst import ModelAnalyst
from curate.annotate.discovery.assignment import assign_items
from curate.annotate.discovery.discover import discover
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.slices import find_slices, slices_of
from curate.annotate.llm.client import Client
from curate.errors import ConfigurationError
from curate.learners.encoders.factory import encoder_named
from curate.learners.factory import learner_named

PACKAGES = ("curate", "numpy", "xllamacpp")
RECORDED = Path(__file__).resolve().parent / "recorded"
REAL_DRAWS, FAKE_DRAWS = (0, 1, 2), range(5)
CAPTIONS, ASSIGNED = 300, 80
REAL = DiscoveryParameters(rounds=8, captions=12, attribute_rounds=2, refinements=1, temperature=0.5)
FAKE = DiscoveryParameters(rounds=6, captions=12, attribute_rounds=2, refinements=1)
NOISE = 0.25
CORRELATION = 0.9
_NOT_RECORDED = ConfigurationError("nothing is recorded")


def run(options: Options) -> Result:
    """Replay or ask the real model, then the ablations, then the spurious place."""
    real = [found for draw in REAL_DRAWS if (found := _real(draw, options)) is not None]
    rows: list[dict[str, object]] = [one.as_row(f"real model, draw {one.draw}") for one in real]
    rows += _ablations(options)
    before, after, named = _spurious(options)
    bars = [*_real_bars(real), *_spurious_bars(before, after, named)]
    details: dict[str, Any] = {
        "model": MODEL,
        "real draws": [one.draw for one in real],
        "structures": {str(one.draw): one.structure for one in real},
        "usage": {str(one.draw): one.usage for one in real},
        "spurious": {"before": before, "after": after, "worst slice found and confirmed": named},
    }
    return Result(bars, rows, details, PACKAGES)


def _real(draw: int, options: Options) -> Figures | None:
    """Measure one draw with the real model; None where its answers are neither recorded nor to be had."""
    file = RECORDED / f"discovery-{draw}.jsonl.gz"
    asks = draw == options.seed and not options.quick
    if not (file.exists() or asks):
        return None
    options.note(f"real model, draw {draw}")
    cache, server = RecordedAnswers(file), InstructServer()
    service = server.service()
    if not asks:
        service = replace(service, address=_refuse)
    analyst = ModelAnalyst(Client(service, cache))
    planted = plant(CAPTIONS, draw)
    try:
        structure = discover(planted.captions, analyst, replace(REAL, seed=draw))
        assigned = assign_items(planted.captions[:ASSIGNED], structure, analyst, replace(REAL, seed=draw))
    except ConfigurationError as error:
        options.note(f"draw {draw}: {error.message}")
        return None
    finally:
        if cache.fresh:  # first: to close a server waits for requests that an interruption left under way
            cache.save()
        server.close()
    calls = sum(one.calls for one in analyst.usage.values())
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in analyst.usage.values())
    found = measure(draw, planted, structure, assigned.assignments, calls, tokens)
    usage = {stage: {name: getattr(used, name) for name in used.__dataclass_fields__} for stage, used in
             analyst.usage.items()}  # fmt: skip
    return replace(found, usage=usage)


def _refuse() -> str:
    raise _NOT_RECORDED


def _real_bars(real: Sequence[Figures]) -> list[Bar]:
    def mean(name: str) -> float:
        return fmean(getattr(one, name) for one in real) if real else float("nan")

    return [
        Bar("real model: draws measured", len(real), 3),
        Bar("real model: share of planted dimensions found", mean("dimensions"), 0.8),
        Bar("real model: adjusted Rand index of what the model assigned", mean("rand"), 0.7),
        Bar("real model: share of invented attributes", mean("invented"), 0.05, "<"),
        Bar("real model: calls, as a share of the reference's", mean("calls_share"), 1 / 3, "<="),
    ]


def _ablations(options: Options) -> list[dict[str, object]]:
    variants: dict[str, DiscoveryParameters] = {
        "as it is": FAKE,
        "no refinement": replace(FAKE, refinements=0),
        "1 vote": replace(FAKE, votes=1),
        "5 votes": replace(FAKE, votes=5),
        "3 rounds": replace(FAKE, rounds=3),
        "12 rounds": replace(FAKE, rounds=12),
        "3 answers an item": replace(FAKE, answers=3),
        "5 answers an item": replace(FAKE, answers=5),
    }
    draws = FAKE_DRAWS[:1] if options.quick else FAKE_DRAWS
    rows = []
    for name, parameters in variants.items():
        options.note(f"fake analyst: {name}")
        found = [_fake(draw, parameters) for draw in draws]
        rows.append(_mean_row(f"fake analyst, {name}", found))
    rows.append(_mean_row("fake analyst, all items by the model", [_fake(draw, FAKE, CAPTIONS) for draw in draws]))
    return rows


def _fake(draw: int, parameters: DiscoveryParameters, assigned: int = ASSIGNED) -> Figures:
    planted, analyst = plant(CAPTIONS, 1_000 + draw), FakeAnalyst(NOISE, broken=0.05)
    parameters = replace(parameters, seed=draw)
    structure = discover(planted.captions, analyst, parameters)
    told = assign_items(planted.captions[:assigned], structure, analyst, parameters).assignments
    tokens = sum((len(one.system) + len(one.user)) // 3 for one in analyst.asked)
    return measure(draw, planted, structure, told, len(analyst.asked), tokens)


def _mean_row(name: str, found: Sequence[Figures]) -> dict[str, object]:
    rows = [one.as_row(name) for one in found]
    return {key: name if key == "run" else fmean(float(str(row[key])) for row in rows) for key in rows[0]}


def _spurious(options: Options) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Return worst group and average before and after rebalancing, and whether the worst slice was found and named."""
    options.note("a spurious place")
    seed = options.seed
    taught, looked_at, tests = (
        spurious(count, seed + place, correlation)
        for place, (count, correlation) in enumerate([(3_000, CORRELATION), (3_000, CORRELATION), (2_000, 0.5)])
    )
    analyst, parameters = FakeAnalyst(), DiscoveryParameters(rounds=6, captions=12, seed=seed)
    structure = discover(taught.captions[:200], analyst, parameters)
    where = [_subpopulations(one, structure, analyst, parameters) for one in (taught, looked_at)]
    learner = _learned(taught, np.arange(len(taught.labels)), seed)
    names = [slices_of(one, with_class=True) for one in where[1]]
    found = find_slices(names, _right(learner, looked_at), [one.item_id for one in looked_at.captions])
    alike = spurious(2_000, seed + 3, CORRELATION)
    again = _learned(taught, _with_quota(where[0], seed), seed)
    planted = {f"{LABELS[0]} · street", f"{LABELS[1]} · kitchen"}
    named = bool(found) and found[0].confirmed and found[0].name in planted
    return _accuracy(learner, tests, alike), _accuracy(again, tests, alike), named


def _subpopulations(
    texts: Spurious, structure: Any, analyst: FakeAnalyst, parameters: DiscoveryParameters
) -> list[str]:
    told: dict[str, dict[str, str]] = {}
    for one in assign_items(texts.captions, structure, analyst, parameters).assignments:
        told.setdefault(one.item_id, {})[one.dimension] = one.attribute
    return [structure.subpopulation(one.of_class, told.get(one.item_id, {})) for one in texts.captions]


def _with_quota(names: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Take as many of each subpopulation as the smallest has, as a snapshot's quota does."""
    order = np.random.default_rng(seed).permutation(len(names))
    counts = {name: list(names).count(name) for name in set(names)}
    most, taken = min(counts.values()), dict.fromkeys(counts, 0)
    chosen = []
    for place in order:
        if taken[names[place]] < most:
            taken[names[place]] += 1
            chosen.append(place)
    return np.array(sorted(chosen), np.int64)


def _features(texts: Spurious) -> NDArray[np.float32]:
    ids, written = [one.item_id for one in texts.captions], [one.text for one in texts.captions]
    return encoder_named("hashed-ngrams:1024").encode(pa.table({"item_id": ids, "text": written}))


def _learned(texts: Spurious, chosen: NDArray[np.int64], seed: int) -> Any:
    learner = learner_named("sequential-linear", {"learning_rate": 2.0}, seed=seed)
    learner.learn(_features(texts)[chosen], [texts.labels[place] for place in chosen])
    return learner


def _right(learner: Any, texts: Spurious) -> NDArray[np.bool_]:
    best = learner.predict(_features(texts)).argmax(axis=1)
    return np.array([learner.classes[place] == label for place, label in zip(best, texts.labels, strict=True)])


def _accuracy(learner: Any, mixed: Spurious, alike: Spurious) -> dict[str, Any]:
    right = _right(learner, mixed)
    group, worst = worst_group(right, mixed.groups)
    averages = {"average": float(right.mean()), "average like training": float(_right(learner, alike).mean())}
    return {**averages, "worst group": worst, "group": group}


def _spurious_bars(before: dict[str, Any], after: dict[str, Any], named: bool) -> list[Bar]:
    return [
        Bar("spurious place, fake analyst: the worst slice is found, named and confirmed", float(named), 1),
        Bar("spurious place, fake analyst: worst group's gain", after["worst group"] - before["worst group"], 0.10),
        Bar("spurious place, fake analyst: average's gain, evenly mixed", after["average"] - before["average"], -0.02),
        Bar("spurious place, fake analyst: average's gain, mixed as in training", _gain(before, after), -0.02),
    ]


def _gain(before: dict[str, Any], after: dict[str, Any]) -> float:
    return float(after["average like training"] - before["average like training"])


if __name__ == "__main__":
    sys.exit(main("discovery", run))
