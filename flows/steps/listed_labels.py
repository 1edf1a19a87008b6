"""Labels of sources against the protocol's closed lists: an item whose label is none of them comes in without it."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotate.protocol import Attribute
from curate.errors import ConfigurationError
from curate.settings import Settings, SourceSettings
from curate.store.ingestion.shapes import excerpt

REASON = "unknown-value"
_LISTED = 300


def refuse_unlisted(settings: Settings, source: SourceSettings, records: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return all records, without the labels that the protocol does not list, and those labels as rejects.

    An attribute that the protocol lacks is open, and takes any label. Where it takes several values, labels are put
    into its one spelling. Cost: a look at each different label.
    """
    declared = {attribute.name: attribute for attribute in settings.protocol.attribute}
    if source.attribute not in declared or records["label"].null_count == len(records):
        return records, _rejects(records.slice(0, 0), "")
    attribute = Attribute.from_mapping(declared[source.attribute].model_dump(mode="json"))
    found = pc.drop_null(pc.unique(records["label"]))
    spelled = pa.array([_spelled(attribute, label) for label in found.to_pylist()], pa.string())
    labels = pc.take(spelled, pc.index_in(records["label"], value_set=found))
    refused = records.filter(pc.and_(pc.is_valid(records["label"]), pc.is_null(labels)))
    kept = records.set_column(records.column_names.index("label"), "label", labels)
    return kept, _rejects(refused, f"is none of the values of {attribute.name!r}: {', '.join(attribute.values)}")


def _spelled(attribute: Attribute, label: str) -> str | None:
    try:
        return attribute.answer(label)
    except ConfigurationError:
        return None


def _rejects(records: pa.Table, why: str) -> pa.Table:
    why = why if len(why) <= _LISTED else f"{why[: _LISTED - 1]}…"
    labels = records["label"].to_pylist()
    details = [f"the label {excerpt(label)} {why}; the item came in without it" for label in labels]
    hashes = [hashlib.sha256(label.encode()).hexdigest()[:16] for label in labels]
    columns = {
        "locator": records["locator"].cast(pa.string()),
        "reason": pa.repeat(REASON, len(records)),
        "detail": pa.array(details, pa.string()),
        "fingerprint": pa.array(hashes, pa.string()),
    }
    return pa.table(columns)
