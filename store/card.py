"""The dataset card: what a stranger must know of an export before training on it.

It is a function of the snapshot alone: it carries no clock, and leaves out whatever came after the snapshot was taken.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from curate.store.reader import Reader
from curate.store.snapshots import Numbered, snapshot_row

_FEW = 10
_QUESTION = """
    SELECT protocol, protocol_version AS version, question, "values" FROM attributes
    WHERE attribute = $label AND commit_number <= $as_of ORDER BY commit_number DESC, protocol, version LIMIT 1"""
_SELECTORS = """
    SELECT DISTINCT selector, selector_version AS version, target FROM scores
    WHERE selector = $order_by AND commit_number <= $as_of ORDER BY ALL"""
_METHODS = "SELECT DISTINCT method FROM duplicates WHERE commit_number <= $as_of ORDER BY method"
Rows = list[dict[str, Any]]
LicenceSets = Sequence[tuple[tuple[str, ...], int]]


def dataset_card(reader: Reader, snapshot: Numbered, counts: Rows, claims: Rows, licences: LicenceSets) -> str:
    """Return the card's text in Markdown.

    `counts` are the items of each label in each split: split, label ("" for none), items. `claims` are those about the
    label, counted: annotator, kind, version, protocol, claims, other than the label. `licences` are the sets of
    licences that items came under, and how many items each.
    """
    row = snapshot_row(reader, snapshot)
    spec = row.spec
    asked = _Asked(reader, snapshot, row.as_of, spec)
    sections = [
        f"# {snapshot.snapshot} {snapshot.number}\n",
        f"{snapshot.size} items, chosen by curate as of commit {row.as_of}.\n\n"
        f"Content hash (SHA-256 over sorted ids, labels and splits): `{snapshot.content_hash}`\n",
        "## What was chosen, and why the rest was not\n",
        markdown_table(("reason", "items"), row.funnel.items()),
        "## Splits and labels\n",
        _table(counts),
        *(_protocol(asked, spec["label"], claims) if spec["label"] else ()),
        *(("## What ranked them\n", _table(asked.rows(_SELECTORS))) if spec["order_by"] else ()),
        *_several_licences(licences),
        "## The request\n",
        f"```json\n{json.dumps(spec, indent=1, sort_keys=True)}\n```\n",
        "## Known gaps\n",
        "\n".join(f"- {gap}" for gap in (*_gaps(asked), *_label_gaps(counts, claims, spec["label"]))) + "\n",
    ]
    return "\n" + "\n".join(sections)


def markdown_table(names: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """Return a table in Markdown, whose cells may hold anything."""
    header = list(names)
    body = ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header), *body, ""])


class _Asked:
    """The questions of the card, asked about one snapshot as it was."""

    def __init__(self, reader: Reader, snapshot: Numbered, as_of: int, spec: Mapping[str, Any]) -> None:
        self._reader = reader
        self._known = {
            "snapshot": snapshot.snapshot,
            "number": snapshot.number,
            "as_of": as_of,
            "label": spec["label"],
            "order_by": spec["order_by"],
        }

    def rows(self, query: str) -> Rows:
        """Answer with a list of rows."""
        parameters = {name: value for name, value in self._known.items() if f"${name}" in query}
        found: Rows = self._reader.query(query, parameters).to_pylist()
        return found


def _table(rows: Rows) -> str:
    return markdown_table(rows[0], (row.values() for row in rows)) if rows else "none\n"


def _protocol(asked: _Asked, label: str, claims: Rows) -> Iterator[str]:
    yield "## What the labels mean, and who gave them\n"
    found = asked.rows(_QUESTION)
    if found:
        values = ", ".join(f"`{_cell(value)}`" for value in found[0]["values"])
        yield (
            f"Attribute `{label}` of protocol `{found[0]['protocol']}`, version {found[0]['version']}.\n\n"
            f"Question: {_cell(found[0]['question'])}\n\nValues: {values}\n"
        )
    else:
        yield f"Attribute `{label}`, as its sources label it: no annotator had been asked for it by then.\n"
    yield _table(claims)


def _several_licences(licences: LicenceSets) -> Iterator[str]:
    several = [(names, items) for names, items in licences if len(names) > 1]
    if several:
        yield "## Items that came under several licences\n"
        yield "Their column `licence` has the one that they came with first.\n"
        lines = ((", ".join(name or "not declared" for name in names), items) for names, items in several)
        yield markdown_table(("licences", "items"), lines)


def _gaps(asked: _Asked) -> Iterator[str]:
    methods = ", ".join(row["method"] for row in asked.rows(_METHODS)) or "none did"
    yield f"Duplicates are dropped as far as they were recognised (methods that found any: {methods})."
    yield "What no method recognised as the same may stand in two splits."


def _label_gaps(counts: Rows, claims: Rows, label: str) -> Iterator[str]:
    if not label:
        yield "There are no labels."
        return
    answered = sum(row["claims"] for row in claims if row["kind"] == "human")
    disputed = sum(row["other than the label"] for row in claims)
    yield f"Claims that come from people: {answered} of {sum(row['claims'] for row in claims)}."
    yield f"Claims that say another value than the label: {disputed}."
    totals = Counter[str]()
    for row in counts:
        totals[row["label"]] += row["items"]
    if rare := sorted(name for name, items in totals.items() if name and items < _FEW):
        yield f"Labels with fewer than {_FEW} items: {_names(rare)}."
    present = {(row["split"], row["label"]) for row in counts}
    splits = sorted({split for split, _ in present})
    if absent := [f"{split} / {name}" for split in splits for name in sorted(totals) if (split, name) not in present]:
        yield f"Labels that a split has no item of: {_names(absent)}."


def _names(names: list[str]) -> str:
    shown = ", ".join(_cell(name) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
