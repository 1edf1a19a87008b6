"""The step `calibrate`: compare what annotators are sure of with how often they are right, and learn the difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.annotate.calibration import (
    Calibration,
    ClaimMap,
    ClaimTemperature,
    FitMap,
    Isotonic,
    abstention_threshold,
    calibrate,
    fit_claim_temperature,
    fit_isotonic,
)
from curate.annotate.protocol import Attribute
from curate.flows.project import Project
from curate.flows.steps.annotators import project_protocol
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.gate_looks import Answered, answered, proposed_values
from curate.store.gating import GateScope, confident_annotators, gold_claims
from curate.store.reader import Reader
from curate.store.work import cursors
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress, StepReport

STEP = "calibrate"
SUBJECT = "calibration of "
_OFF = 'method = "none" in [calibration], or the protocol asks nothing'
_FORMULAS = {
    "ECE before": "expected calibration error, 15 bins",
    "ECE after": "the same, of maps fitted to the other four fifths",
    "least": "lowest confidence from which on claims clear the bar, one-sided 95 %",
}


@dataclass(frozen=True, slots=True)
class _Gold:
    """What people's answers say of one annotator on one attribute, and where the cursor moves with it."""

    subject: str
    version: str
    values: int
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    move: CursorMove


class CalibrateStep:
    """Every annotator whose confidence is a probability, on every attribute about which there is enough gold.

    Gold are people's answers about items that trained nothing, audits among them. What was found lies in the table
    `metrics`. Memory: an attribute's answers, and an annotator's claims about the same items.
    """

    name = STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count annotators and attributes with new answers."""
        if _is_off(project):
            return Plan(self.name, 0, 0, notes=(_OFF,))
        with project.reader() as reader:
            waiting = list(_waiting(reader, project))
        return Plan(self.name, len(waiting), 0, notes=("counted in pairs of annotator and attribute",))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Fit the maps; each and its cursor commit together."""
        began = time.perf_counter()
        if _is_off(project):
            return step_report(self.name, began, notes=(_OFF,))
        with project.reader() as reader:
            waiting, number = list(_waiting(reader, project)), reader.commit_number
        details: dict[str, dict[str, float]] = {}
        for gold in waiting:
            found = calibrate(gold.confidence, gold.right, fit=_fit(project, gold.values))
            measured = _measured(found, gold, project.settings.gate.bar)
            tables = {"metrics": _metric_rows(gold, measured, number)}
            if not project.store.commit(Write(self.name, tables, [gold.move])).stale:
                shown = {f"{name} {part}".removesuffix(" all"): value for (name, part), value in measured.items()}
                details[gold.subject] = {name: value for name, value in shown.items() if not name.startswith("map ")}
        return step_report(self.name, began, done=len(details), details=details)


def subject(scope: GateScope, attribute: str, annotator: str) -> str:
    """Name what the table `metrics` says about an annotator's confidence on an attribute."""
    return f"{SUBJECT}{annotator} on {scope.protocol}/{scope.version}/{attribute}"


def known_map(reader: Reader, scope: GateScope, attribute: Attribute, annotator: str) -> ClaimMap | None:
    """Return the newest map of an annotator's confidence, perhaps fitted to an earlier version; None where none is."""
    found = reader.query(
        "SELECT name, slice, value FROM metrics WHERE subject = $subject AND number ="
        " (SELECT max(number) FROM metrics WHERE subject = $subject) AND name IN ('temperature', 'map')",
        {"subject": subject(scope, attribute.name, annotator)},
    ).to_pylist()
    if not found:
        return None
    if found[0]["name"] == "temperature":
        return ClaimTemperature(found[0]["value"], _alternatives(attribute))
    points = sorted((float(row["slice"]), row["value"]) for row in found)
    return Isotonic(*(np.array(column) for column in zip(*points, strict=True)))


def _alternatives(attribute: Attribute) -> int:
    """Among how many answers the confidence is shared: where several values may be chosen, this one and any other."""
    return 2 if attribute.multiple else len(attribute.values)


def _is_off(project: Project) -> bool:
    return project.settings.calibration.method == "none" or not project.settings.protocol.attribute


def _waiting(reader: Reader, project: Project) -> Iterator[_Gold]:
    protocol = project_protocol(project)
    settings, gate = project.settings.calibration, project.settings.gate
    scope = GateScope(protocol.name, protocol.version, project.settings.label.modalities, gate.reserve)
    known = cursors(reader, STEP)
    said: dict[str, Answered] = {}
    asked = {attribute.name: attribute for attribute in protocol.attributes}
    for name, annotator, version in confident_annotators(reader, scope):
        if name not in asked:
            continue
        if name not in said:
            said[name] = answered(reader, scope, asked[name], gate.noise)
        confidence, right, told = _judged(reader, scope, asked[name], said[name], annotator, version)
        key = subject(scope, name, annotator)
        now = f"{len(right)} {right.sum()} {told} {version} {settings.method}"
        if len(right) >= settings.fewest and known.get(key, "") != now:
            move = CursorMove(STEP, key, known.get(key, ""), now)
            yield _Gold(key, version, _alternatives(asked[name]), confidence, right, move)


def _judged(
    reader: Reader, scope: GateScope, attribute: Attribute, said: Answered, annotator: str, version: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Return confidences, whether the claims are right, and the commit of the newest answer about them."""
    claims = gold_claims(reader, scope, attribute.name, annotator, version)
    proposed, where = proposed_values(claims, attribute), said.of(claims["item_id"].to_pylist())
    counted = np.flatnonzero((where >= 0) & (proposed >= 0))
    counted = counted[said.valued[where[counted]] > 0]
    right = said.chance_right(proposed[counted], where[counted]) > 0.5
    confidence = np.asarray(claims["confidence"].to_numpy(), np.float64)[counted]
    return confidence, right, int(said.told[where[counted]].max(initial=0))


def _fit(project: Project, values: int) -> FitMap:
    if project.settings.calibration.method == "isotonic":
        return fit_isotonic
    fit: Callable[..., ClaimMap] = fit_claim_temperature
    return partial(fit, values=values)


def _measured(found: Calibration, gold: _Gold, bar: float) -> dict[tuple[str, str], float]:
    measured = {
        ("gold answers", "all"): float(found.items),
        ("accuracy", "all"): float(gold.right.mean()),
        ("ECE before", "all"): found.before,
        ("ECE after", "all"): found.after,
    }
    least = abstention_threshold(gold.confidence, gold.right, bar)
    if np.isfinite(least):
        measured["least", f"bar {bar:g}"] = least
    if isinstance(found.map, ClaimTemperature):
        measured["temperature", "all"] = found.map.temperature
    elif isinstance(found.map, Isotonic):
        measured |= {("map", repr(place)): share for place, share in _corners(found.map)}
    return measured


def _corners(rising: Isotonic) -> Iterator[tuple[float, float]]:
    """The ends of the level pieces, between which nothing needs to be kept."""
    places, shares = rising.confidences.tolist(), rising.shares.tolist()
    for row, (place, share) in enumerate(zip(places, shares, strict=True)):
        if row in (0, len(places) - 1) or not shares[row - 1] == share == shares[row + 1]:
            yield place, share


def _metric_rows(gold: _Gold, measured: Mapping[tuple[str, str], float], number: int) -> pa.Table:
    columns = {
        "subject": gold.subject,
        "checkpoint": gold.version,
        "snapshot": "",
        "number": number,
        "name": [name for name, _ in measured],
        "slice": [part for _, part in measured],
        "value": list(measured.values()),
        "formula": [_FORMULAS.get(name, "") for name, _ in measured],
    }
    return rows("metrics", columns, len(measured))
