"""Simulated people: they know the truth from a column kept beside the items, and err at a given rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from hashlib import sha256

import pyarrow as pa

from curate.annotate.protocol import Attribute, Protocol
from curate.errors import ConfigurationError, UnknownNameError
from curate.flows.project import Project
from curate.flows.spending import affordable_answers
from curate.flows.steps.annotators import project_protocol, protocol_rows
from curate.store.gating import metadata_columns, metadata_values
from curate.store.reader import Reader
from curate.store.write import Write, rows

PREFIX = "oracle:"
KIND = "simulated"


def simulate(
    project: Project,
    step: str,
    asked: Sequence[Mapping[str, object]],
    people: str = "",
    noise: float | None = None,
    opened: Reader | None = None,
) -> int:
    """Answer questions as `[gate] people` has it, and return how many; each further answer is another person's.

    Other `people` and `noise` take the place of the gate's where they are given; a reader that is open is used.

    An item without the column, or with a value that the attribute does not have, is answered with "cannot tell". The
    same question gets the same answer in every run. Where several values may be chosen, the column holds a list, and
    who errs does so in one value. No more is answered than the spending ceiling leaves money for.

    Raises:
        ConfigurationError: no item at all has the column; nothing is answered.
    """
    people = people or project.settings.gate.people
    asked = asked[: affordable_answers(project, len(asked))]
    if not asked:
        return 0
    noise = project.settings.gate.oracle_noise if noise is None else noise
    protocol = project_protocol(project)
    columns: dict[str, list[str]] = {name: [] for name in ("item_id", "attribute", "value", "annotator")}
    for attribute in {str(row["attribute"]) for row in asked}:
        rows_of = [row for row in asked if row["attribute"] == attribute]
        column = people.removeprefix(PREFIX).replace("{attribute}", attribute)
        with nullcontext(opened) if opened else project.reader() as reader:
            truth = metadata_values(reader, [str(row["item_id"]) for row in rows_of], column)
            if not truth:
                _check_column(reader, people, column)
        for row in rows_of:
            item, number = str(row["item_id"]), int(str(row["answers"]))
            columns["item_id"].append(item)
            columns["attribute"].append(attribute)
            columns["value"].append(_answer(protocol, attribute, truth.get(item, ""), f"{item}/{number}", noise))
            columns["annotator"].append(people if number == 1 else f"{people}#{number}")
    tables = _tables(protocol, columns)
    project.store.commit(Write(step, {**tables, **protocol_rows(protocol)}))
    return len(columns["item_id"])


def _check_column(reader: Reader, people: str, column: str) -> None:
    """Refuse a column that no item has; that these items lack it is no fault."""
    if column in (known := metadata_columns(reader)):
        return
    raise ConfigurationError(
        f"people = {people!r}: no item has a column {column!r} that knows the truth",
        unchanged="nothing was answered",
        hint=f"columns beside the items: {', '.join(known)}" if known else f'meta = ["{column}"] in its [[source]]',
    )


def _answer(protocol: Protocol, attribute: str, truth: str, seed: str, noise: float) -> str:
    asked = protocol.attribute(attribute)
    if (truth := _true_answer(asked, truth)) not in asked:
        return ""
    drawn = int.from_bytes(sha256(f"{attribute}/{seed}".encode()).digest()[:8], "big")
    if drawn / 2**64 >= noise:
        return truth
    slip = asked.values[drawn % len(asked.values)]
    if asked.multiple:
        return asked.answer(sorted({slip} ^ set(asked.parts(truth))))
    others = [value for value in asked.values if value != truth]
    return others[drawn % len(others)]


def _true_answer(attribute: Attribute, told: str) -> str:
    """Return what a column tells in the attribute's spelling, where it can be; a list may have any order."""
    try:
        return attribute.answer(told) if told else ""
    except UnknownNameError:
        return ""


def _tables(protocol: Protocol, columns: Mapping[str, list[str]]) -> dict[str, pa.Table]:
    named = {"protocol": protocol.name, "protocol_version": protocol.version, "annotator_version": "1"}
    valued = [place for place, value in enumerate(columns["value"]) if value]
    silent = [place for place, value in enumerate(columns["value"]) if not value]

    def taken(places: Sequence[int], *names: str) -> dict[str, list[str]]:
        return {name: [columns[name][place] for place in places] for name in names}

    claims = {**named, **taken(valued, "item_id", "attribute", "value", "annotator"), "annotator_kind": KIND}
    silences = {**named, **taken(silent, "item_id", "attribute", "annotator"), "reason": "cannot tell"}
    tables = {
        "annotations": rows("annotations", {**claims, "confidence": 1.0}, len(valued)),
        "abstentions": rows("abstentions", silences, len(silent)),
    }
    return {name: table for name, table in tables.items() if len(table)}
