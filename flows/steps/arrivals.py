"""What a parsed batch becomes in the store: items, origins, labels as annotations, rejects, superseding decisions."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.flows.steps.listed_labels import REASON as UNLISTED
from curate.flows.steps.unsaid import Unsaid
from curate.settings import Settings, SourceSettings
from curate.store.entities import entity_decisions
from curate.store.places import Look, label_turns, look_at_places
from curate.store.reader import Reader
from curate.store.schema import table as schema_table
from curate.store.write import Commit, rows


@dataclass(slots=True)
class Arrivals:
    """The running count of one ingestion: new items, repeated ones, rejects by reason, files, and what none said."""

    added: int = 0
    repeated: int = 0
    rejected: int = 0
    files: int = 0
    unsaid: Unsaid | None = None
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, commit: Commit, records: pa.Table, rejects: pa.Table) -> None:
        """Add what one commit brought."""
        added = commit.added.get("items", 0)
        self.added += added
        self.repeated += len(records) - added
        unlisted = pc.sum(pc.equal(rejects["reason"], UNLISTED)).as_py() or 0
        if self.unsaid:
            self.unsaid.look(records, unlisted)
        self.rejected += commit.added.get("rejects", 0)
        self.reasons.update(f"rejected: {reason}" for reason in rejects["reason"].to_pylist())


def arrival_tables(
    reader: Reader, settings: Settings, source: SourceSettings, records: pa.Table, rejects: pa.Table, *, again: bool
) -> dict[str, pa.Table]:
    """Build the rows of one batch for every table that ingestion writes.

    `again` says that some of its places may have said something before: then what they say now is held against it.
    """
    places = _places(source, records)
    look = look_at_places(reader, places) if again else _never_met(len(records))
    labels = _label_rows(settings, source, records)
    if again and len(labels):
        labels = _with_turns(labels, label_turns(reader, places, labels))
    return {
        "sources": _source_row(source),
        "items": _select("items", records),
        "origins": _select("origins", records, source=source.name),
        "restatements": look.restatements,
        "rejects": _select("rejects", rejects, source=source.name),
        "annotations": labels,
        "decisions": entity_decisions(reader, _arrivals(source, records, look.changed)),
    }


def _select(name: str, table: pa.Table, **constants: str) -> pa.Table:

    columns = {
        column: constants[column] if column in constants else table[column] for column in schema_table(name).names
    }
    return rows(name, columns, len(table))


def _source_row(source: SourceSettings) -> pa.Table:
    mapping = source.model_dump(exclude={"name", "path", "command", "timeout", "modality", "format"})
    columns = {
        "source": source.name,
        "address": source.address,
        "modality": source.modality,
        "format": source.format,
        "mapping": json.dumps(mapping, sort_keys=True),
    }
    return rows("sources", columns, 1)


def _label_rows(settings: Settings, source: SourceSettings, records: pa.Table) -> pa.Table:
    """A source's own labels are claims of an annotator named after it."""
    labelled = records.filter(pc.is_valid(records["label"]))
    declared = source.attribute in {attribute.name for attribute in settings.protocol.attribute}
    columns = {
        "item_id": labelled["item_id"],
        "protocol": settings.protocol.name if declared else "source",
        "protocol_version": settings.protocol.version if declared else "1",
        "attribute": source.attribute,
        "value": labelled["label"],
        "confidence": 1.0,
        "annotator": source.name,
        "annotator_kind": "source",
        "annotator_version": "1",
    }
    return rows("annotations", columns, len(labelled))


def _with_turns(labels: pa.Table, turns: Mapping[str, int]) -> pa.Table:
    """A label that is said again after another one is a new claim: its version is its turn."""
    if not turns:
        return labels
    versions = [str(turns.get(item, 1)) for item in labels["item_id"].to_pylist()]
    column = labels.column_names.index("annotator_version")
    return labels.set_column(column, "annotator_version", pa.array(versions, pa.string()))


def _never_met(count: int) -> Look:
    return Look(pa.chunked_array([pa.repeat(True, count)]), schema_table("restatements").schema.empty_table())


def _places(source: SourceSettings, records: pa.Table) -> pa.Table:
    said = {name: records[name] for name in ("item_id", "locator", "licence", "metadata")}
    return pa.table({**said, "source": pa.repeat(source.name, len(records)), "position": np.arange(len(records))})


def _arrivals(source: SourceSettings, records: pa.Table, changed: pa.ChunkedArray) -> pa.Table:
    whole = pc.binary_join_element_wise(f"{source.name}:", records["locator"], "")
    return pa.table(
        {
            "item_id": records["item_id"],
            "entity": records["entity"],
            "whole": pc.equal(records["entity"], whole),
            "changed": changed,
            "position": np.arange(len(records)),
        }
    )
