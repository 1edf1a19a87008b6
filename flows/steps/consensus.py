"""The step `consensus`: draw one value with a posterior from what several annotators claim."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.annotate.consensus.agreement import krippendorff_alpha
from curate.annotate.consensus.several import list_consensus
from curate.annotate.consensus.votes import Votes
from curate.annotate.protocol import Attribute, Protocol
from curate.errors import BadDataError
from curate.flows.project import Project
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.consensus_kappas import COHEN, FLEISS, kappas
from curate.flows.steps.consensus_methods import Method
from curate.store.claims import Question, contested_questions, drawn_values, newest_claims
from curate.store.reader import Reader
from curate.store.readings import definitions
from curate.store.work import cursors
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress, StepReport

CONSUMER = "consensus"
SUBJECT = "consensus on "
_OFF = 'method = "none" in [consensus]'
_SAME = 1e-6
"""A posterior that moved by no more is not written again."""
_FORMULAS = {
    "Krippendorff's alpha": "nominal, over all claims; of several values the mean over them",
    COHEN: "nominal, over the items that both spoke about",
    FLEISS: "nominal, where every item has as many claims",
    "accuracy": "expected under the consensus",
    "claims": "",
}


class ConsensusStep:
    """Every question that at least two annotators have answered, whenever one of them has said something new.

    A new claim may change what all annotators are worth, and with it every posterior of its attribute: these are drawn
    anew, and written where they have changed. Memory: some 100 bytes for each claim about one attribute, and the
    posteriors of its items.
    """

    name = "consensus"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the questions with new claims."""
        if project.settings.consensus.method == "none":
            return Plan(self.name, 0, 0, notes=(_OFF,))
        with project.reader() as reader:
            method = Method.of(project.settings.consensus)
            questions = contested_questions(reader, method.left_out)
            waiting = _waiting(reader, method, questions)
        return Plan(self.name, len(waiting), len(questions) - len(waiting), notes=("counted in questions",))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Draw the values of each such question; they and the cursor commit together."""
        began = time.perf_counter()
        method = Method.of(project.settings.consensus)
        if method.name == "none":
            return step_report(self.name, began, notes=(_OFF,))
        with project.reader() as reader:
            waiting = _waiting(reader, method, contested_questions(reader, method.left_out))
        details: dict[str, int] = {}
        notes: list[str] = []
        for question, move in waiting:
            try:
                with project.reader() as reader:
                    tables = _drawn(reader, question, method, _protocols(reader, question.protocol))
            except BadDataError as error:
                notes.append(f"{question.key} waits: {error.message}")
                continue
            if not project.store.commit(Write(self.name, tables, [move])).stale:
                details[question.key] = len(tables["consensus"])
        return step_report(self.name, began, done=len(details), notes=tuple(notes), details=details)


def _protocols(reader: Reader, name: str) -> dict[str, Protocol]:
    """Return every version of a protocol that was ever used."""
    return {version: Protocol.from_mapping(json.loads(told)) for version, told in definitions(reader, name).items()}


def _waiting(reader: Reader, method: Method, questions: list[Question]) -> list[tuple[Question, CursorMove]]:
    known = cursors(reader, CONSUMER)
    found = []
    for question in questions:
        before, now = known.get(question.key, ""), f"{question.newest} {method.key}"
        if before != now:
            found.append((question, CursorMove(CONSUMER, question.key, before, now)))
    return found


@dataclass(frozen=True, slots=True)
class _Found:
    """What was drawn: a value and a posterior for each of the `items`, and what each of the `annotators` is worth."""

    method: str
    items: list[str]
    annotators: list[str]
    values: list[str]
    posteriors: NDArray[np.float64]
    votes: NDArray[np.int64]
    claims: NDArray[np.int64]
    skill: NDArray[np.float64]
    alpha: float
    alphas: Mapping[str, float]
    kappas: Mapping[tuple[str, str], float]


def _drawn(
    reader: Reader, question: Question, method: Method, protocols: Mapping[str, Protocol]
) -> dict[str, pa.Table]:
    claims = newest_claims(reader, question, method.left_out)
    asked = {one.name: one for one in protocols[question.version].attributes} if question.version in protocols else {}
    attribute = asked.get(question.attribute)
    multiple = attribute is not None and attribute.multiple
    if not len(claims):
        return {"consensus": _left(question, method.name, list(_last(reader, question)))}
    found = _lists_drawn(claims, method, attribute) if multiple and attribute else _values_drawn(claims, method)
    return {"consensus": _changed(reader, question, found), "metrics": _metrics(question, found)}


def _values_drawn(claims: pa.Table, method: Method) -> _Found:
    items, values, annotators = (
        claims[name].combine_chunks().dictionary_encode() for name in ("item_id", "value", "annotator")
    )
    names = [sorted(column.dictionary.to_pylist()) for column in (items, annotators, values)]
    item, annotator, value = (
        _positions(column, ordered) for column, ordered in zip((items, annotators, values), names, strict=True)
    )
    votes = Votes(item, annotator, value, len(names[0]), len(names[1]), len(names[2]))
    found = method.draw(votes, names[1], claims["confidence"].to_numpy())
    drawn = [names[2][place] for place in found.value]
    counts = np.bincount(annotator, minlength=len(names[1]))
    alpha = krippendorff_alpha(votes)
    posteriors, per_item = found.posterior.max(axis=1), votes.per_item()
    told = kappas(votes, names[1])
    return _Found(found.method, names[0], names[1], drawn, posteriors, per_item, counts, found.skill, alpha, {}, told)


def _lists_drawn(claims: pa.Table, method: Method, attribute: Attribute) -> _Found:
    """Draw each value by itself; answers that are none of the attribute's are left out."""
    kept = [row for row in claims.to_pylist() if row["value"] in attribute]
    items, annotators = (sorted({row[name] for row in kept}) for name in ("item_id", "annotator"))
    place, number = ({name: at for at, name in enumerate(names)} for names in (items, annotators))
    answers = [
        (place[row["item_id"]], number[row["annotator"]], frozenset(attribute.parts(row["value"]))) for row in kept
    ]
    found = list_consensus(answers, attribute.values, (len(items), len(annotators)), method.draw_lists)
    drawn = [
        attribute.answer([value for value, there in zip(attribute.values, row, strict=True) if there])
        for row in found.chosen.tolist()
    ]
    votes, counts = (
        np.bincount(np.array([answer[at] for answer in answers], np.int64), minlength=len(names))
        for at, names in enumerate((items, annotators))
    )
    alphas = dict(zip(attribute.values, found.alphas.tolist(), strict=True))
    told = [alpha for alpha in alphas.values() if np.isfinite(alpha)]
    alpha = float(np.mean(told)) if told else float("nan")
    return _Found(
        found.method, items, annotators, drawn, found.posterior, votes, counts, found.skill, alpha, alphas, {}
    )


def _positions(column: pa.DictionaryArray, ordered: list[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(ordered)}
    of_code = np.array([place[name] for name in column.dictionary.to_pylist()], np.int64)
    positions: NDArray[np.int64] = of_code[column.indices.to_numpy(zero_copy_only=False)]
    return positions


def _changed(reader: Reader, question: Question, found: _Found) -> pa.Table:
    """Return the rows of the items whose value, posterior or method is not what was drawn last."""
    last = _last(reader, question)
    kept = [
        place
        for place, (item, value, posterior) in enumerate(zip(found.items, found.values, found.posteriors, strict=True))
        if not _same(last.get(item), value, float(posterior), found.method)
    ]
    columns = {
        "item_id": [found.items[place] for place in kept],
        "protocol": question.protocol,
        "protocol_version": question.version,
        "attribute": question.attribute,
        "value": [found.values[place] for place in kept],
        "posterior": found.posteriors[kept].tolist(),
        "method": found.method,
        "votes": found.votes[kept].tolist(),
    }
    gone = _left(question, found.method, sorted(last.keys() - set(found.items)))
    return pa.concat_tables([rows("consensus", columns, len(kept)), gone])


def _last(reader: Reader, question: Question) -> dict[str, dict[str, object]]:
    """Return what was drawn last of each item that has a value."""
    before = drawn_values(reader, question)
    pairs = zip(before["item_id"].to_pylist(), before.drop(["item_id"]).to_pylist(), strict=True)
    return {item: row for item, row in pairs if row["value"]}


def _left(question: Question, method: str, items: list[str]) -> pa.Table:
    """Return rows without a value for items of which nobody claims anything any more."""
    columns = {
        "item_id": items,
        "protocol": question.protocol,
        "protocol_version": question.version,
        "attribute": question.attribute,
        "value": "",
        "posterior": 0.0,
        "method": method,
        "votes": 0,
    }
    return rows("consensus", columns, len(items))


def _same(last: Mapping[str, object] | None, value: str, posterior: float, method: str) -> bool:
    if last is None or last["value"] != value or last["method"] != method:
        return False
    return abs(float(str(last["posterior"])) - posterior) <= _SAME


def _metrics(question: Question, found: _Found) -> pa.Table:
    measured = [("Krippendorff's alpha", "all", found.alpha)]
    measured += [("Krippendorff's alpha", f"value {value}", alpha) for value, alpha in found.alphas.items()]
    measured += [(name, whom, kappa) for (name, whom), kappa in found.kappas.items()]
    for name, skill, count in zip(found.annotators, found.skill.tolist(), found.claims.tolist(), strict=True):
        measured += [("accuracy", name, skill), ("claims", name, float(count))]
    names, slices, figures = zip(*measured, strict=True)
    columns = {
        "subject": SUBJECT + question.key,
        "checkpoint": found.method,
        "snapshot": "",
        "number": question.newest,
        "name": list(names),
        "slice": list(slices),
        "value": list(figures),
        "formula": [_FORMULAS[name] for name in names],
    }
    return rows("metrics", columns, len(measured))
