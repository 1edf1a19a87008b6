"""The dataset card: what a stranger must know of an export before training on it.

It is a function of the snapshot alone: it carries no clock, and leaves out whatever came after the snapshot was taken.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from curate.store.reader import Reader
from curate.store.snapshots import Numbered, snapshot_row

_FEW = 10
_MEMBERS = """
    WITH members AS (
        SELECT item_id, label, split FROM snapshot_items WHERE snapshot = $snapshot AND number = $number
    )"""
_COUNTS = "SELECT split, coalesce(label, '') AS label, count(*) AS items FROM members GROUP BY ALL ORDER BY ALL"
_SOURCES = """
    SELECT source, CASE licence WHEN '' THEN 'not declared' ELSE licence END AS licence,
        count(DISTINCT item_id) AS items, count(*) AS origins
    FROM origins SEMI JOIN members USING (item_id) WHERE commit_number <= $as_of GROUP BY ALL ORDER BY ALL"""
_LICENCES = """
    SELECT DISTINCT licence FROM origins SEMI JOIN members USING (item_id)
    WHERE commit_number <= $as_of ORDER BY licence"""
_QUESTION = """
    SELECT protocol, protocol_version AS version, question, "values" FROM attributes
    WHERE attribute = $label AND commit_number <= $as_of ORDER BY commit_number DESC, protocol, version LIMIT 1"""
_ANNOTATORS = """
    SELECT annotator, annotator_kind AS kind, annotator_version AS version, protocol_version AS protocol,
        count(DISTINCT item_id) AS items
    FROM annotations SEMI JOIN members USING (item_id)
    WHERE attribute = $label AND commit_number <= $as_of GROUP BY ALL ORDER BY ALL"""
_SELECTORS = """
    SELECT DISTINCT selector, selector_version AS version, target FROM scores SEMI JOIN members USING (item_id)
    WHERE selector = $order_by AND commit_number <= $as_of ORDER BY ALL"""
_GAPS = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT item_id FROM origins SEMI JOIN members USING (item_id) WHERE commit_number <= $as_of
            GROUP BY item_id HAVING min(licence) = '')) AS unlicensed,
        (SELECT count(*) FROM members WHERE label IS NULL) AS unlabelled,
        (SELECT count(*) FROM (
            SELECT item_id FROM annotations SEMI JOIN members USING (item_id)
            WHERE attribute = $label AND commit_number <= $as_of
            GROUP BY item_id HAVING count(DISTINCT value) > 1)) AS disputed,
        (SELECT count(DISTINCT item_id) FROM annotations SEMI JOIN members USING (item_id)
            WHERE attribute = $label AND annotator_kind = 'human' AND commit_number <= $as_of) AS answered,
        (SELECT list(DISTINCT method ORDER BY method) FROM duplicates WHERE commit_number <= $as_of) AS methods,
        (SELECT list(label ORDER BY label) FROM (
            SELECT label FROM members WHERE label IS NOT NULL GROUP BY label HAVING count(*) < {_FEW})) AS rare,
        (SELECT list(split || ' / ' || label ORDER BY split, label) FROM (
            (SELECT split, label FROM (SELECT DISTINCT split FROM members)
                CROSS JOIN (SELECT DISTINCT label FROM members WHERE label IS NOT NULL))
            EXCEPT SELECT DISTINCT split, label FROM members)) AS absent"""


def declared_licences(reader: Reader, snapshot: Numbered) -> tuple[str, ...]:
    """Return every licence that the items' origins declared when the snapshot was taken; "" where one declared none."""
    row = snapshot_row(reader, snapshot)
    rows = _Asked(reader, snapshot, row.as_of, row.spec).rows(_LICENCES)
    return tuple(row["licence"] for row in rows)


def dataset_card(reader: Reader, snapshot: Numbered) -> str:
    """Return the card's text in Markdown."""
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
        asked.table(_COUNTS),
        "## Where the items come from, and under which licence\n",
        asked.table(_SOURCES),
        *(_protocol(asked, spec["label"]) if spec["label"] else ()),
        *(("## What ranked them\n", asked.table(_SELECTORS)) if spec["order_by"] else ()),
        "## The request\n",
        f"```json\n{json.dumps(spec, indent=1, sort_keys=True)}\n```\n",
        "## Known gaps\n",
        "\n".join(f"- {gap}" for gap in _gaps(asked, spec, snapshot.size)) + "\n",
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

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Answer with a list of rows."""
        parameters = {name: value for name, value in self._known.items() if f"${name}" in _MEMBERS + query}
        found: list[dict[str, Any]] = self._reader.query(f"{_MEMBERS} {query}", parameters).to_pylist()
        return found

    def table(self, query: str) -> str:
        """Answer with a table in Markdown; it is never empty of rows where the snapshot is not."""
        rows = self.rows(query)
        return markdown_table(rows[0], (row.values() for row in rows)) if rows else "none\n"


def _protocol(asked: _Asked, label: str) -> Iterator[str]:
    yield "## What the labels mean, and who gave them\n"
    found = asked.rows(_QUESTION)
    if found:
        values = ", ".join(f"`{_cell(value)}`" for value in found[0]["values"])
        yield (
            f"Attribute `{label}` of protocol `{found[0]['protocol']}`, version {found[0]['version']}.\n\n"
            f"Question: {_cell(found[0]['question'])}\n\nValues: {values}\n"
        )
    else:
        yield f"Attribute `{label}`, as its sources label it: no protocol asks for it.\n"
    yield asked.table(_ANNOTATORS)


def _gaps(asked: _Asked, spec: Mapping[str, Any], size: int) -> Iterator[str]:
    [found] = asked.rows(_GAPS)
    methods = ", ".join(found["methods"] or ()) or "none was found"
    yield f"Duplicates are dropped as far as they were recognised (methods that found any: {methods})."
    yield "A split follows from the item's id or its group: what no method recognised can stand in two splits."
    if found["unlicensed"]:
        yield f"{found['unlicensed']} of {size} items have an origin that declares no licence."
    if not spec["label"]:
        yield "There are no labels."
        return
    labelled = size - found["unlabelled"]
    yield f"A person answered {found['answered']} of {labelled} labelled items; the others nobody has checked here."
    if found["disputed"]:
        yield f"Annotators disagree on {found['disputed']} of {labelled} labelled items."
    if found["rare"]:
        yield f"Labels with fewer than {_FEW} items: {_names(found['rare'])}."
    if found["absent"]:
        yield f"Labels that a split has no item of: {_names(found['absent'])}."


def _names(names: list[str]) -> str:
    shown = ", ".join(_cell(name) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
