"""The spec's miniature through the step `gate` itself, over a store: what a user's verdicts are worth.

Ingest, rounds, audits, answers of simulated people, looks and verdicts are the store's and the step's. The annotator is
fitted here, as the peers' is, to what people answered outside the reserve; its claims are committed as `pupil`, with a
new version whenever it was fitted anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.harness.wheel_digits import ATTRIBUTES, BAR, Run, digits
from benchmarks.harness.wheel_parts import LogisticRegression
from curate.annotate.turning import Features, Positions
from curate.flows.project import Project
from curate.flows.steps.gate import GateStep, gate_scope
from curate.flows.steps.ingest import IngestStep
from curate.settings import load_settings
from curate.statistics import Interval
from curate.store.gating import gate_pool, metadata_values, newest_gates, people_answers
from curate.store.write import Write, rows
from curate.types import SilentProgress

PUPIL = "pupil"
VALUES = ("no", "yes")
QUIET = SilentProgress()
MOST_TURNS = 200
SETTINGS = """
[[source]]
name = "digits"
path = "digits.jsonl"
meta = {meta}

[protocol]
name = "digits"
version = "1"
{attributes}
[[annotator]]
name = "pupil"
kind = "rule"
rules = [{{ attribute = "a0", value = "yes", pattern = "never" }}]

[gate]
enabled = true
annotators = ["pupil"]
people = "oracle:{{attribute}}"
bar = {bar}
reserve = 0.5
noise = 0.0
double = 0.0
oracle_noise = 0.0
budget = {budget}
"""
_ATTRIBUTE = '[[protocol.attribute]]\nname = "{name}"\nquestion = "Is it {told}?"\nvalues = ["no", "yes"]\n'


@dataclass(frozen=True, slots=True)
class _Items:
    """Items by their place in the data, and which of them are reserved."""

    ids: Sequence[str]
    reserve: Positions

    def places(self) -> Mapping[str, int]:
        return {item: place for place, item in enumerate(self.ids)}


def stepped(seed: int, budget: int) -> Run:
    """Turn the wheel by the step `gate` until it asks nothing more, with at most so many answers."""
    features, truth = digits()
    order = np.random.default_rng([seed, 3]).permutation(len(features))
    with TemporaryDirectory() as folder:
        project = _project(Path(folder), truth, seed, order, budget)
        IngestStep().run(project, QUIET)
        items = _items(project, len(features))
        proposals = np.zeros(truth.shape, np.int64)
        known = [0] * truth.shape[1]
        for _ in range(MOST_TURNS):
            _learn(project, items, features, proposals, known)
            if GateStep().run(project, QUIET).idle:
                break
        return _run(project, items, proposals, truth)


def _project(folder: Path, truth: Positions, seed: int, order: Positions, budget: int) -> Project:
    """Write the items, whose ids and so whose lots depend on the seed, and the settings."""
    names = _names()
    lines = (
        json.dumps({"text": f"digit {place} of draw {seed}", "place": str(place)} | _told(truth[place]))
        for place in order
    )
    (folder / "digits.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    attributes = "".join(_ATTRIBUTE.format(name=name, told=told) for name, told in zip(names, ATTRIBUTES, strict=True))
    meta = json.dumps(["place", *names])
    file = folder / "curate.toml"
    file.write_text(SETTINGS.format(meta=meta, attributes=attributes, bar=BAR, budget=budget), encoding="utf-8")
    return Project(folder, load_settings(file, {}), command="benchmark")


def _names() -> list[str]:
    return [f"a{number}" for number in range(len(ATTRIBUTES))]


def _told(truth: Positions) -> dict[str, str]:
    return {name: VALUES[value] for name, value in zip(_names(), truth.tolist(), strict=True)}


def _items(project: Project, count: int) -> _Items:
    with project.reader() as reader:
        pool = gate_pool(reader, gate_scope(project), _names()[0], PUPIL)
        found = pool["item_id"].to_pylist()
        places = metadata_values(reader, found, "place")
    ids = [""] * count
    for item, place in places.items():
        ids[int(place)] = item
    reserved = dict(zip(found, pool["reserved"].to_pylist(), strict=True))
    return _Items(ids, np.flatnonzero([reserved[item] for item in ids]))


def _learn(project: Project, items: _Items, features: Features, proposals: Positions, known: list[int]) -> None:
    """Fit the annotator of each attribute that people said more about, and commit what it claims."""
    fit, places, reserved = LogisticRegression(), items.places(), set(items.reserve.tolist())
    scope = gate_scope(project)
    for number, name in enumerate(_names()):
        with project.reader() as reader:
            said = people_answers(reader, scope, name)
        answers = {places[item]: VALUES.index(value) for item, value in _pairs(said) if places[item] not in reserved}
        if len(answers) <= known[number]:
            continue
        known[number] = len(answers)
        taught = np.array(sorted(answers), np.int64)
        chances = fit(features[taught], np.array([answers[place] for place in taught]), 2)(features)
        proposals[:, number] = chances.argmax(axis=1)
        columns = {
            "item_id": list(items.ids), "value": [VALUES[value] for value in proposals[:, number]],
            "confidence": chances.max(axis=1).tolist(), "attribute": name, "annotator": PUPIL,
            "annotator_version": str(len(taught)), "annotator_kind": "learner",
            "protocol": scope.protocol, "protocol_version": scope.version,
        }  # fmt: skip
        project.store.commit(Write("annotate", {"annotations": rows("annotations", columns, len(items.ids))}))


def _pairs(said: object) -> list[tuple[str, str]]:
    table: list[dict[str, str]] = said.to_pylist()  # type: ignore[attr-defined]
    return [(row["item_id"], row["value"]) for row in table]


def _run(project: Project, items: _Items, proposals: Positions, truth: Positions) -> Run:
    true = (proposals == truth)[items.reserve].mean(axis=0).tolist()
    with project.reader() as reader:
        scope = gate_scope(project)
        gates = {str(row["attribute"]): row for row in newest_gates(reader, scope)}
        given = sum(len(people_answers(reader, scope, name)) for name in _names())
    passed = [gates[name]["verdict"] == "passed" for name in _names()]
    return Run(given, true, passed, [_covers(gates[name], value) for name, value in zip(_names(), true, strict=True)])


def _covers(gate: Mapping[str, object], true: float) -> bool:
    low, value, high = (float(str(gate[name])) for name in ("low", "accuracy", "high"))
    return not Interval(low, value, high, 0.95).excludes(true)
