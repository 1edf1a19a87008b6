"""The dataset card: what a stranger must know of an export before training on it. It carries no clock."""

import json
from collections.abc import Iterable
from typing import Any

from curate.store.reader import Reader
from curate.store.snapshots import Numbered, snapshot_row

_COUNTS = """
    SELECT split, coalesce(label, '') AS label, count(*) AS items FROM snapshot_items
    WHERE snapshot = ? AND number = ? GROUP BY ALL ORDER BY ALL"""
_SOURCES = """
    SELECT o.source, CASE o.licence WHEN '' THEN 'not declared' ELSE o.licence END AS licence,
        count(DISTINCT s.item_id) AS items
    FROM snapshot_items s JOIN origins o USING (item_id)
    WHERE s.snapshot = ? AND s.number = ? GROUP BY ALL ORDER BY ALL"""
_ANNOTATORS = """
    SELECT a.annotator, a.annotator_kind AS kind, a.annotator_version AS version, count(DISTINCT a.item_id) AS items
    FROM annotations a JOIN snapshot_items s USING (item_id)
    WHERE s.snapshot = ? AND s.number = ? AND a.attribute = ? GROUP BY ALL ORDER BY ALL"""
_SELECTORS = """
    SELECT DISTINCT c.selector, c.selector_version AS version, c.target
    FROM scores c JOIN snapshot_items s USING (item_id)
    WHERE s.snapshot = ? AND s.number = ? AND c.selector = ? ORDER BY ALL"""


def dataset_card(reader: Reader, snapshot: Numbered) -> str:
    """Return the card's text in Markdown, a function of the snapshot alone."""
    row = snapshot_row(reader, snapshot)
    spec, funnel = row.spec, row.funnel
    key = [snapshot.snapshot, snapshot.number]
    sections = [
        f"# {snapshot.snapshot} {snapshot.number}\n",
        f"{snapshot.size} items, chosen by curate as of commit {row.as_of}.\n\n"
        f"Content hash (SHA-256 over sorted ids, labels and splits): `{snapshot.content_hash}`\n",
        "## What was chosen, and why the rest was not\n",
        _table(("reason", "items"), funnel.items()),
        "## Splits and labels\n",
        _query(reader, _COUNTS, key),
        "## Where the items come from\n",
        _query(reader, _SOURCES, key),
        "## Who labelled\n" if spec["label"] else "",
        _query(reader, _ANNOTATORS, [*key, spec["label"]]) if spec["label"] else "",
        "## What ranked them\n" if spec["order_by"] else "",
        _query(reader, _SELECTORS, [*key, spec["order_by"]]) if spec["order_by"] else "",
        "## The request\n",
        f"```json\n{json.dumps(spec, indent=1, sort_keys=True)}\n```\n",
        "## Known gaps\n",
        "Duplicates are exact after normalisation: near-duplicates can stand in two splits.\n",
    ]
    return "\n" + "\n".join(section for section in sections if section)


def _query(reader: Reader, sql: str, parameters: list[Any]) -> str:
    found = reader.query(sql, parameters)
    return _table(found.column_names, (tuple(row.values()) for row in found.to_pylist()))


def _table(names: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    header = list(names)
    body = ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header), *body, ""])


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
