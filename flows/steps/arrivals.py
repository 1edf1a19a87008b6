"""What a parsed batch becomes in the store: items, origins, labels as annotations, rejects, superseding decisions."""

import json
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.settings import Settings, SourceSettings
from curate.store.entities import entity_decisions
from curate.store.reader import Reader
from curate.store.schema import table as schema_table
from curate.store.write import Commit, rows


@dataclass(slots=True)
class Arrivals:
    """The running count of one ingestion: new items, repeated ones, rejects by reason, files, records with a label."""

    added: int = 0
    repeated: int = 0
    rejected: int = 0
    files: int = 0
    labelled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, commit: Commit, records: pa.Table, rejects: pa.Table) -> None:
        """Add what one commit brought."""
        added = commit.added.get("items", 0)
        self.added += added
        self.repeated += len(records) - added
        self.labelled += len(records) - records["label"].null_count
        self.rejected += commit.added.get("rejects", 0)
        self.reasons.update(f"rejected: {reason}" for reason in rejects["reason"].to_pylist())


def arrival_tables(
    reader: Reader, settings: Settings, source: SourceSettings, records: pa.Table, rejects: pa.Table
) -> dict[str, pa.Table]:
    """Build the rows of one batch for every table that ingestion writes."""
    return {
        "sources": _source_row(source),
        "items": _select("items", records),
        "origins": _select("origins", records, source=source.name),
        "rejects": _select("rejects", rejects, source=source.name),
        "annotations": _label_rows(settings, source, records),
        "decisions": entity_decisions(reader, _arrivals(source, records)),
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


def _arrivals(source: SourceSettings, records: pa.Table) -> pa.Table:
    whole = pc.binary_join_element_wise(f"{source.name}:", records["locator"], "")
    return pa.table(
        {
            "item_id": records["item_id"],
            "source": pa.repeat(source.name, len(records)),
            "locator": records["locator"],
            "entity": records["entity"],
            "whole": pc.equal(records["entity"], whole),
            "position": np.arange(len(records)),
        }
    )
