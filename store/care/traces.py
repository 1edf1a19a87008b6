"""Traces of an item outside its own rows: requests that show it, rejects that quote it, what was made from it."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.store.checkpoints import CHECKPOINT_FOLDER
from curate.store.journal import Journal
from curate.store.reader import Reader

_PREFIX = 48
_SHORT = 32
_CERTAIN = 200
_QUOTED = re.compile(r"'(.+?)…?'", re.DOTALL)
_PIECE = 16
_IDS = "SELECT item_id FROM wanted_items"
_ORIGINS = f"SELECT DISTINCT source, locator FROM origins WHERE item_id IN ({_IDS}) ORDER BY ALL"
_SNAPSHOTS = f"""
    SELECT s.snapshot, s.number, any_value(s.content_hash) AS content_hash, count(*) AS items
    FROM snapshot_items i JOIN snapshots s USING (snapshot, number)
    WHERE i.item_id IN ({_IDS}) GROUP BY s.snapshot, s.number ORDER BY ALL"""
_CHECKPOINTS = f"""
    SELECT c.learner, c.checkpoint, c.snapshot, c.number
    FROM checkpoints c JOIN snapshot_items i ON i.snapshot = c.snapshot AND i.number <= c.number
    WHERE i.item_id IN ({_IDS}) GROUP BY ALL
    UNION ALL
    SELECT 'acquire/' || p.policy, p.checkpoint, '', max(p.seen)
    FROM policies p JOIN acquisitions q ON q.policy = p.policy AND q.reason <> '' AND q.commit_number < p.commit_number
    WHERE q.item_id IN ({_IDS}) AND p.checkpoint <> '' GROUP BY ALL ORDER BY ALL"""
_RELATIVES = f"""
    SELECT item_id, 'the same entity' AS relation FROM origins
    WHERE entity <> '' AND entity IN (SELECT entity FROM origins WHERE item_id IN ({_IDS}))
    UNION SELECT item_id, 'a duplicate of it' FROM duplicates WHERE duplicate_of IN ({_IDS})
    UNION SELECT duplicate_of, 'it is a duplicate of that' FROM duplicates WHERE item_id IN ({_IDS})"""


@dataclass(frozen=True, slots=True)
class Traces:
    """What else knows of some items.

    `requests` are keys of requests that show them to a model, `rejects` the natural keys (source, locator, reason,
    fingerprint) of rejects that may quote them: both go with the items. The others stay, for a person to look at:
    `origins` (source and locator), `snapshots` (whose exports hold them), `checkpoints` (that learned from them, or
    whose policy asked about them) and `relatives`, items that may say the same: of the same entity, or duplicates.
    """

    requests: tuple[str, ...] = ()
    rejects: tuple[tuple[str, str, str, str], ...] = ()
    origins: Sequence[Mapping[str, Any]] = field(default_factory=list)
    snapshots: Sequence[Mapping[str, Any]] = field(default_factory=list)
    checkpoints: Sequence[Mapping[str, Any]] = field(default_factory=list)
    relatives: Sequence[Mapping[str, Any]] = field(default_factory=list)


def find_traces(reader: Reader, journal: Journal, items: Sequence[str]) -> Traces:
    """Look for what else knows of these items.

    Cost: one pass over the requests for each of them, and one over the rejects. Memory: the items' content, and about a
    hundred bytes for each character of their texts.
    """
    reader.register("wanted_items", pa.table({"item_id": pa.array(items, pa.string())}))
    origins, snapshots, checkpoints, relatives = (
        reader.query(query).to_pylist() for query in (_ORIGINS, _SNAPSHOTS, _CHECKPOINTS, _RELATIVES)
    )
    content = reader.query(f"SELECT text, image FROM items WHERE item_id IN ({_IDS})").to_pylist()
    texts = [row["text"] for row in content if row["text"] is not None]
    # An image as it is sent in JSON, and as annotators refer to it.
    images = [row["image"] for row in content if row["image"] is not None]
    needles = texts + [
        written for image in images for written in (base64.b64encode(image).decode(), sha256(image).hexdigest())
    ]
    return Traces(
        tuple(sorted({*_committed_requests(reader, needles), *_waiting_requests(journal, needles)})),
        tuple(_quoting_rejects(reader, texts)),
        origins,
        snapshots,
        [row for row in checkpoints if row["snapshot"] or _is_there(reader.store_folder, row["checkpoint"])],
        [row for row in relatives if row["item_id"] not in set(items)],
    )


def _is_there(folder: Path, checkpoint: str) -> bool:
    """Whether the file is there; `gc` frees those that a stream's policy has gone on from."""
    return any((folder / CHECKPOINT_FOLDER).glob(f"{checkpoint}.*"))


def shows(content: Any, needle: str) -> bool:
    """Whether a request's content holds a text: the whole of it, or a beginning of it that was cut off.

    A cut-off beginning ends with an ellipsis, as annotators cut, or is at least 200 characters long. A text shorter
    than 32 characters must stand by itself, for it may occur in others.
    """
    return any(_holds(text, needle) for text in _texts(content))


def _holds(text: str, needle: str) -> bool:
    start = text.find(needle[:_PREFIX])
    while start >= 0:
        length = _common(text, start, needle)
        end = start + length
        if length == len(needle) and (length >= _SHORT or _stands_alone(text, start, end)):
            return True
        if length < len(needle) and (length >= _CERTAIN or text[end : end + 1] == "…"):
            return True
        start = text.find(needle[:_PREFIX], start + 1)
    return False


def _common(text: str, start: int, needle: str) -> int:
    """How many characters of `needle` stand in `text` from `start` on."""
    length = min(len(text) - start, len(needle))
    if text[start : start + length] == needle[:length]:
        return length
    return next(place for place in range(length) if text[start + place] != needle[place])


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[:start], text[end : end + 1]
    return (not before or before[-1] == "\n" or before.endswith(": ")) and after in ("", "\n", "…")


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _texts(value)


def _committed_requests(reader: Reader, needles: Sequence[str]) -> Iterator[str]:
    query = "SELECT request_key, payload, body FROM requests WHERE contains(payload, ?) OR contains(body, ?)"
    for needle in needles:
        # As JSON writes it; `_holds` then looks at the decoded text.
        written = json.dumps(needle[:_PREFIX])[1:-1]
        for batch in reader.stream(query, [written, written], rows=1_000):
            for row in batch.to_pylist():
                if shows([json.loads(row["payload"]), json.loads(row["body"])], needle):
                    yield row["request_key"]


def _waiting_requests(journal: Journal, needles: Sequence[str]) -> Iterator[str]:
    for entry in journal.entries():
        content = [entry.request.payload, entry.response.body]
        if any(shows(content, needle) for needle in needles):
            yield entry.key


def _quoting_rejects(reader: Reader, needles: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """Rejects from the very places that the items came from, and those whose detail quotes a piece of one."""
    query = f"""
        SELECT source, locator, reason, fingerprint, detail, (source, locator) IN (
            SELECT (source, locator) FROM origins WHERE item_id IN ({_IDS})) AS same_place FROM rejects ORDER BY ALL"""
    pieces = _Pieces([_printed(needle) for needle in needles])
    for batch in reader.stream(query):
        for row in batch.to_pylist():
            if row["same_place"] or any(map(pieces.occur_in, _QUOTED.findall(row["detail"]))):
                yield row["source"], row["locator"], row["reason"], row["fingerprint"]


class _Pieces:
    """All runs of 16 characters of some texts. Memory: about a hundred bytes for each character of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = set(texts)
        self._runs = {text[start : start + _PIECE] for text in texts for start in range(len(text) - _PIECE + 1)}
        self._short = [text for text in texts if _PIECE // 2 <= len(text) < _PIECE]

    def occur_in(self, quoted: str) -> bool:
        """Whether a quotation holds a piece of a text; before and after it other things may be quoted."""
        if quoted in self._texts or any(text in quoted for text in self._short):
            return True
        if _PIECE // 2 <= len(quoted) < _PIECE:
            return any(quoted in text for text in self._texts)
        return any(quoted[start : start + _PIECE] in self._runs for start in range(len(quoted) - _PIECE + 1))


def _printed(text: str) -> str:
    """A text as `curate.store.ingestion.shapes.excerpt` quotes it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
