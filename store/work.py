"""What is left to do for a step: items after its cursor, less what other steps dropped and the ledger holds.

What a step has dropped itself is judged anew under new parameters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.write import LedgerKey

CANDIDATES = """
    WITH candidates AS (
        SELECT item_id, commit_number FROM items
        WHERE commit_number > $after AND list_contains($modalities, modality)
        UNION
        SELECT d.item_id, max(d.commit_number) FROM latest_decisions d JOIN items i USING (item_id)
        WHERE d.action = 'keep' AND d.commit_number > $after AND i.commit_number <= $after
          AND list_contains($modalities, i.modality)
        GROUP BY d.item_id
    ), pending AS (
        FROM candidates
        ANTI JOIN (SELECT item_id FROM latest_decisions WHERE action = 'drop' AND step <> $step) USING (item_id)
        ANTI JOIN (
            SELECT item_id FROM ledger WHERE step = $step AND step_version = $version AND parameters = $parameters
        ) USING (item_id)
    )"""
"""The common table expression `pending`: item_id and commit_number of what is left to do."""


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive commits whose pending items make one batch: after `first` - 1 up to `last`."""

    first: int
    last: int
    items: int


def cursor(reader: Reader, consumer: str, key: str = "") -> str:
    """Return where a consumer's cursor stands, "" where it never moved."""
    found = reader.query("SELECT position FROM cursor_positions WHERE consumer = ? AND key = ?", [consumer, key])
    return str(found["position"][0]) if len(found) else ""


def cursors(reader: Reader, consumer: str) -> dict[str, str]:
    """Return all positions of a consumer by key."""
    found = reader.query("SELECT key, position FROM cursor_positions WHERE consumer = ?", [consumer])
    return dict(zip(found["key"].to_pylist(), found["position"].to_pylist(), strict=True))


def pending_spans(reader: Reader, ledger: LedgerKey, modalities: Sequence[str], after: int, rows: int) -> list[Span]:
    """Group the commits after `after` that hold pending items into batches of about `rows` items.

    The borders depend on commits alone: a run that was killed after any batch goes on with the same borders.
    """
    query = CANDIDATES + "SELECT commit_number, count(*) AS items FROM pending GROUP BY ALL ORDER BY ALL"
    counts = reader.query(query, pending_parameters(ledger, modalities, after))
    spans: list[Span] = []
    for number, items in zip(counts["commit_number"].to_pylist(), counts["items"].to_pylist(), strict=True):
        if spans and spans[-1].items + items <= rows:
            spans[-1] = Span(spans[-1].first, number, spans[-1].items + items)
        else:
            spans.append(Span(number, number, items))
    return spans


def passed_commit(position: str) -> int:
    """Return the last commit that a cursor has passed as a whole; 0 where it never moved."""
    return int(position.partition("+")[0] or 0)


def within_next(position: str) -> str:
    """Return where a cursor stands after one more batch of the commit behind `position`, of which others are left.

    What they are, the ledger says; the count makes two processes that do the same batch notice each other.

    >>> within_next("12"), within_next("12+1"), within_next("")
    ('12+1', '12+2', '0+1')
    """
    commit, _, batches_done = position.partition("+")
    return f"{commit or 0}+{int(batches_done or 0) + 1}"


def pending_items(
    reader: Reader, ledger: LedgerKey, modalities: Sequence[str], after: int, span: Span, most: int
) -> pa.Table:
    """Return the first `most` pending items of one batch in the order of commit and id, with their content."""
    query = (
        CANDIDATES
        + """
        SELECT i.item_id, i.modality, i.text, i.image, i.events
        FROM pending p JOIN items i USING (item_id)
        WHERE p.commit_number BETWEEN $first AND $last
        ORDER BY p.commit_number, i.item_id LIMIT $most"""
    )
    bounds = {"first": span.first, "last": span.last, "most": most}
    return reader.query(query, pending_parameters(ledger, modalities, after) | bounds)


def pending_sample(reader: Reader, ledger: LedgerKey, modalities: Sequence[str], sample: int) -> pa.Table:
    """Return what is left of a sample of at most `sample` items: those first in the order of a hash of their ids.

    Items that the ledger already holds count towards the sample, so that it does not grow from run to run.
    """
    left = max(0, sample - count_settled(reader, ledger))
    query = (
        CANDIDATES
        + """
        SELECT i.item_id, i.modality, i.text, i.image, i.events
        FROM pending p JOIN items i USING (item_id) ORDER BY sha256('sample:' || i.item_id) LIMIT $left"""
    )
    return reader.query(query, pending_parameters(ledger, modalities, 0) | {"left": left})


def count_settled(reader: Reader, ledger: LedgerKey) -> int:
    """Return how many items the ledger holds under this key."""
    found = reader.query(
        "SELECT count(*) AS items FROM ledger WHERE step = ? AND step_version = ? AND parameters = ?",
        [ledger.step, ledger.step_version, ledger.parameters],
    )
    return int(found["items"][0].as_py())


def decided_items(reader: Reader, step: str, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the action and the reason of a step's newest decision about each of these items that it has decided on."""
    reader.register("wanted_items", pa.table({"item_id": pa.array(ids, pa.string())}))
    found = reader.query(
        "SELECT item_id, action, reason FROM latest_decisions SEMI JOIN wanted_items USING (item_id) WHERE step = ?",
        [step],
    )
    return {row["item_id"]: (row["action"], row["reason"]) for row in found.to_pylist()}


def batches(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Cut a table into slices of at most `rows` rows."""
    for start in range(0, len(table), rows):
        yield table.slice(start, rows)


def pending_parameters(ledger: LedgerKey, modalities: Sequence[str], after: int) -> dict[str, object]:
    """Return the parameters of `CANDIDATES`."""
    return {
        "after": after,
        "modalities": list(modalities),
        "step": ledger.step,
        "version": ledger.step_version,
        "parameters": ledger.parameters,
    }
