"""Answers to older versions of a protocol, read in the words of the newest."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.silence import SILENT, WITHDRAWAL, WITHDRAWN

Answer = tuple[str, str]
_OTHER_WORDS = f"""
    WITH withdrawn AS (
        SELECT item_id, protocol_version, attribute, annotator, {WITHDRAWAL}
        FROM abstentions WHERE protocol = $protocol GROUP BY ALL
    ), newest AS (
        SELECT a.* FROM annotations a ANTI JOIN withdrawn w ON (
            w.item_id = a.item_id AND w.protocol_version = a.protocol_version AND w.attribute = a.attribute
            AND w.annotator = a.annotator AND {WITHDRAWN})
        WHERE a.protocol = $protocol AND a.protocol_version <> $version
            AND a.annotator_kind NOT IN ('rule', 'source', 'clip', 'caption')
        QUALIFY rank() OVER (PARTITION BY item_id, protocol_version, attribute, annotator
            ORDER BY commit_number DESC, annotator_version DESC) = 1
    ), answered AS (
        SELECT item_id, attribute, annotator FROM annotations WHERE protocol = $protocol AND protocol_version = $version
        UNION ALL
        SELECT item_id, attribute, annotator FROM abstentions WHERE protocol = $protocol AND protocol_version = $version
    )
    SELECT n.item_id, r.attribute, r.value, n.confidence, n.annotator, n.annotator_kind, n.annotator_version,
        n.protocol_version AS said_in
    FROM newest n JOIN readings r ON (
        r.version = n.protocol_version AND r.old_attribute = n.attribute AND r.old_value = n.value)
    ANTI JOIN answered d ON (d.item_id = n.item_id AND d.attribute = r.attribute AND d.annotator = n.annotator)
    QUALIFY rank() OVER (PARTITION BY n.item_id, r.attribute, n.annotator ORDER BY n.commit_number DESC) = 1
    ORDER BY n.item_id, r.attribute, n.annotator, r.value"""
_WITHOUT_VALUE = f"""
    SELECT DISTINCT a.item_id, r.attribute, a.reason, a.annotator, a.annotator_version
    FROM abstentions a JOIN (SELECT DISTINCT version, old_attribute, attribute FROM readings) r ON (
        r.version = a.protocol_version AND r.old_attribute = a.attribute)
    ANTI JOIN (
        SELECT item_id, attribute, annotator FROM annotations WHERE protocol = $protocol AND protocol_version = $version
        UNION ALL
        SELECT item_id, attribute, annotator FROM abstentions WHERE protocol = $protocol AND protocol_version = $version
    ) d ON (d.item_id = a.item_id AND d.attribute = r.attribute AND d.annotator = a.annotator)
    WHERE a.protocol = $protocol AND a.reason <> '{SILENT}' ORDER BY ALL"""
_NEWEST = """
    SELECT max(commit_number) AS newest FROM (
        SELECT commit_number FROM annotations WHERE protocol = $protocol AND protocol_version <> $version
        UNION ALL
        SELECT commit_number FROM abstentions WHERE protocol = $protocol AND protocol_version <> $version)"""
_SAID_LISTS = """
    SELECT DISTINCT attribute, value FROM annotations
    WHERE protocol = ? AND protocol_version = ? AND starts_with(value, '[') ORDER BY ALL"""
_DEFINITIONS = "SELECT version, definition FROM protocols WHERE protocol = ?"


def definitions(reader: Reader, protocol: str) -> dict[str, str]:
    """Return the definition of each version of a protocol that was ever used."""
    found = reader.query(_DEFINITIONS, [protocol])
    return dict(zip(found["version"].to_pylist(), found["definition"].to_pylist(), strict=True))


def said_lists(reader: Reader, protocol: str, version: str) -> list[Answer]:
    """Return each different answer of several values that anybody gave to a version of a protocol."""
    return [(row["attribute"], row["value"]) for row in reader.query(_SAID_LISTS, [protocol, version]).to_pylist()]


def newest_old_answer(reader: Reader, protocol: str, version: str) -> int:
    """Return the last commit that holds an answer to another version of a protocol; 0 where none does."""
    return int(reader.query(_NEWEST, {"protocol": protocol, "version": version})["newest"][0].as_py() or 0)


def old_answers(
    reader: Reader, protocol: str, version: str, readings: Mapping[str, Mapping[Answer, Answer]]
) -> tuple[pa.Table, pa.Table]:
    """Return the newest claims of each annotator but rules that read in this version, and what people abstained from.

    `readings` has, by old version, the new answer to each old one. What the annotator has answered in this version is
    left out, and what a person took back. Memory: the answers; cost: one pass over the protocol's claims.
    """
    entries = [(old, *before, *after) for old, changes in readings.items() for before, after in sorted(changes.items())]
    names = ("version", "old_attribute", "old_value", "attribute", "value")
    columns: Sequence[Sequence[str]] = list(zip(*entries, strict=True)) if entries else [()] * len(names)
    arrays = {name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)}
    reader.register("readings", pa.table(arrays))
    asked = {"protocol": protocol, "version": version}
    return reader.query(_OTHER_WORDS, asked), reader.query(_WITHOUT_VALUE, asked)
