"""Claims that count no more: what a person took back, and what a newer version of an annotator does not say again.

For one annotator's name the newest word about a question counts, a silence included. An annotator that is asked and
claims nothing leaves no row, unless an older version of it claimed something there: then its silence is an abstention
with the reason `SILENT`, and the older claim counts no more. What the newer version has not been asked about yet (or
could not be, or may not be, as a learner about what taught it) has no such row, and there the older claim still holds:
otherwise a new version would leave a million items without a word until the last of them is asked about again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.store.reader import Reader

SILENT = "silent"
"""The reason of an annotator's abstention; people have others."""
WITHDRAWAL = f"""coalesce(max(commit_number) FILTER (reason = '{SILENT}'),
            max(TRY_CAST(annotator_version AS BIGINT)) + 1) AS before"""
"""Of `abstentions`, grouped by item, question and annotator: before which commit, or turn of a person, nothing counts.

Names are either people's or annotators', so each group has one of both.
"""
WITHDRAWN = """CASE a.annotator_kind WHEN 'human' THEN TRY_CAST(a.annotator_version AS BIGINT)
            ELSE a.commit_number END < w.before"""
"""Whether the claim `a` counts no more by the withdrawal `w` of the same item, question and annotator.

One comparison: with an OR in it DuckDB joins row by row (a million claims took five minutes, so they take 0.3 s).
"""
STANDING = f"""annotations a
    ANTI JOIN withdrawals w ON (
        w.item_id = a.item_id AND w.attribute = a.attribute AND w.annotator = a.annotator AND w.protocol = a.protocol
        AND w.protocol_version = a.protocol_version AND {WITHDRAWN})"""
"""The claims that were not withdrawn, as a source of rows; the newest of an annotator's still outdoes its others."""
_OTHER_VERSION = """
    SELECT 1 AS found FROM annotations
    WHERE annotator = $annotator AND annotator_version <> $annotator_version
      AND protocol = $protocol AND protocol_version = $version LIMIT 1"""
_COLUMNS = ("item_id", "attribute", "protocol", "protocol_version", "annotator", "annotator_version")


def has_older_claims(reader: Reader, asked: tuple[str, str], annotator: str, version: str) -> bool:
    """Say whether another version of an annotator has claimed something to a protocol (name, version).

    Cost: one pass over two columns of the claims where none has.
    """
    named = {"protocol": asked[0], "version": asked[1], "annotator": annotator, "annotator_version": version}
    return bool(len(reader.query(_OTHER_VERSION, named)))


def older_claims(
    reader: Reader, asked: tuple[str, str], annotator: str, version: str, items: Sequence[str]
) -> set[tuple[str, str]]:
    """Return item and attribute of what other versions of an annotator claimed about these items, and not this one.

    Cost: it grows with what is found, and hardly with the store.
    """
    found = reader.find("annotations", "item_id", items, _COLUMNS).to_pylist()
    own = [
        row for row in found if (row["protocol"], row["protocol_version"]) == asked and row["annotator"] == annotator
    ]
    return _places(row for row in own if row["annotator_version"] != version) - _places(
        row for row in own if row["annotator_version"] == version
    )


def _places(rows: Iterable[dict[str, str]]) -> set[tuple[str, str]]:
    return {(row["item_id"], row["attribute"]) for row in rows}
