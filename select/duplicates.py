"""Duplicates: which items say the same once letter case, white space and Unicode forms are set aside."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError

if TYPE_CHECKING:
    import pyarrow as pa

METHOD = "normalized-text:1"
"""Name and version of the method; the number grows whenever the same text would get another signature."""


def normalized(text: str) -> str:
    r"""Return the text in NFKC, case-folded, with every run of white space as one space and none at the ends.

    Applying it again changes nothing. Characters that are newer than this Python's Unicode tables are kept as they are.

    >>> normalized("  Straße\n\tﬁn ")
    'strasse fin'
    """
    # Folding can undo the normal form and the normal form can undo folding, so both are applied until they agree:
    # Unicode's definition of a compatibility caseless match (section 3.13, D146) needs at most these rounds.
    folded = unicodedata.normalize("NFD", text).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def signatures(texts: Iterable[str | None]) -> list[str | None]:
    """Return the SHA-256 of each text's normalized form in hex; None for None.

    Takes any iterable of texts, an Arrow column's `to_pylist()` included. Cost: linear in the characters.

    >>> signatures(["Hello  World", "hello world"]) == [signatures(["HELLO WORLD"])[0]] * 2
    True
    """
    return [None if text is None else _signature(text) for text in texts]


def _signature(text: str) -> str:
    return sha256(normalized(text).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Groups:
    """What a batch says about duplicates.

    `duplicates` is a table (item_id, duplicate_of), sorted: the items of the batch, and representatives known before
    that lost their place, each with its group's representative. `changed` is a table (signature, before, after) of the
    groups whose representative was known and is now another: duplicates of `before` are now duplicates of `after`.
    `representatives` maps every signature of the batch to its item id, and may be merged into `known` for the next one.
    """

    duplicates: pa.Table
    changed: pa.Table
    representatives: Mapping[str, str]


def group(
    batch_signatures: Sequence[str | None], item_ids: Sequence[str], known: Mapping[str, str] | None = None
) -> Groups:
    """Group the items of a batch by signature, together with the representatives known from earlier batches.

    A group's representative is its smallest item id, so it does not depend on the order of arrival. Items without a
    signature (None) have no duplicates; an item id that repeats is one item. Takes lists, or Arrow columns through
    `to_pylist()`. Cost: n log n.

    Raises:
        BadDataError: the two sequences differ in length.

    >>> groups = group(["s", "t", "s"], ["b", "c", "a"], known={"t": "d"})
    >>> groups.duplicates.to_pylist()
    [{'item_id': 'b', 'duplicate_of': 'a'}, {'item_id': 'd', 'duplicate_of': 'c'}]
    >>> groups.changed.to_pylist()
    [{'signature': 't', 'before': 'd', 'after': 'c'}]
    """
    if len(batch_signatures) != len(item_ids):
        raise BadDataError(f"{len(batch_signatures)} signatures do not fit {len(item_ids)} item ids")
    known = known or {}
    members = _members(batch_signatures, item_ids, known)
    representatives = {signature: min(group_ids) for signature, group_ids in members.items()}
    duplicates = {
        (item_id, representatives[signature])
        for signature, group_ids in members.items()
        for item_id in group_ids
        if item_id != representatives[signature]
    }
    changed = [
        (signature, known[signature], representative)
        for signature, representative in representatives.items()
        if known.get(signature, representative) != representative
    ]
    return Groups(
        _strings(("item_id", "duplicate_of"), sorted(duplicates)),
        _strings(("signature", "before", "after"), sorted(changed)),
        representatives,
    )


def _members(
    batch_signatures: Sequence[str | None], item_ids: Sequence[str], known: Mapping[str, str]
) -> dict[str, set[str]]:
    members: dict[str, set[str]] = {}
    for signature, item_id in zip(batch_signatures, item_ids, strict=True):
        if signature is not None:
            earlier = {known[signature]} if signature in known else set()
            members.setdefault(signature, earlier).add(item_id)
    return members


def _strings(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    import pyarrow as pa

    columns: list[Any] = [pa.array([row[index] for row in rows], pa.string()) for index in range(len(names))]
    return pa.table(columns, names=list(names))
