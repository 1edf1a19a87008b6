"""The verbs that look: `status` without opening the store, `why` for one item."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json, emit_lines
from curate.cli.verb import pass_invocation, verb
from curate.console import table_lines
from curate.store.address import Address
from curate.types import is_rank, rank_of

if TYPE_CHECKING:
    from curate.store.manifest import Manifest


def age_in_words(moment: str, now: datetime) -> str:
    """Say how long ago an ISO 8601 time was.

    >>> age_in_words("2026-11-23T00:00:00+00:00", datetime(2026, 11, 23, 2, 5, tzinfo=UTC))
    '2 hours ago'
    """
    seconds = _age(moment, now)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        count = int(seconds // size)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def as_of(commit_number: int, committed_at: str) -> str:
    """Say which state of the store an answer shows."""
    return f"as of commit {commit_number}, {age_in_words(committed_at, datetime.now(UTC))}"


@verb("status", examples=["curate status", "curate status --json"], exits=(4,))
@pass_invocation
def status_verb(invocation: Invocation) -> None:
    """Show what the store holds, how old it is and who writes to it; never waits.

    It reads the manifest of the published snapshot, which a writer never locks; on a lake, the newest commit.
    """
    from curate.store.overview import overview, writer

    invocation.load()
    address = invocation.store_address
    assert address is not None
    manifest, holder = overview(address), writer(address)
    if invocation.as_json:
        emit_json(_status_object(address, manifest) | {"holder": holder})
        return
    emit(f"store   {address}")
    emit(f"commit  {_commit_line(manifest)}")
    emit(f"writer  {holder or 'nobody'}")
    rows = [*manifest.figures.items(), *manifest.counts().items()]
    if rows:
        emit("")
        emit_lines(table_lines(("what", "count"), rows))
    else:
        invocation.narrate("next: curate run")


def _status_object(address: Address, manifest: "Manifest") -> dict[str, Any]:
    age = _age(manifest.committed_at, datetime.now(UTC)) if manifest.committed_at else None
    return {
        "store": str(address),
        "commit_number": manifest.commit_number,
        "committed_at": manifest.committed_at,
        "age_seconds": age,
        "step": manifest.step,
        "figures": dict(manifest.figures),
        "tables": manifest.counts(),
    }


def _commit_line(manifest: "Manifest") -> str:
    if not manifest.commit_number:
        return "none yet"
    age = age_in_words(manifest.committed_at, datetime.now(UTC))
    return f"{manifest.commit_number} by {manifest.step}, {age} ({manifest.committed_at})"


def _age(moment: str, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())


@verb("why", examples=["curate why 3f9a", "curate why 3f9a --json"], exits=(4,))
@click.argument("item")
@pass_invocation
def why_verb(invocation: Invocation, item: str) -> None:
    """Explain one item: where it came from, who said what, why it is in or out.

    ITEM is an item's id or the beginning of it, as long as only one item begins so.
    """
    from curate.store.reader import Reader
    from curate.store.why import explain

    with Reader(invocation.existing_store()) as reader:
        explanation = explain(reader, item)
        state = as_of(reader.commit_number, reader.committed_at)
    if invocation.as_json:
        emit_json(explanation)
    else:
        emit_lines(_explanation_lines(explanation))
    invocation.narrate(state)


def _explanation_lines(explanation: Mapping[str, Any]) -> Iterator[str]:
    """The sections that hold something, each a small table; the sentence that sums up comes first."""
    item = explanation["item"]
    yield f"{item['item_id']}  ({item['modality']})"
    yield explanation["verdict"]
    places = _places(explanation["scores"])
    for name, content in explanation.items():
        rows = [content] if isinstance(content, Mapping) else content
        if isinstance(rows, str) or not rows:
            continue
        yield ""
        yield name.replace("_", " ")
        shown = [column for column in rows[0] if any(row[column] not in (None, "", "{}") for row in rows)]
        cells = [[_shown(row, column, places) for column in shown] for row in rows]
        yield from (f"  {line}" for line in table_lines(shown, cells, 64))


def _places(scores: Sequence[Mapping[str, Any]]) -> set[tuple[str, float]]:
    """The scores, each with its selector, that are places in an order; a snapshot's score is one of its item's."""
    return {(row["selector"], row["score"]) for row in scores if is_rank(row["selector"], row["selector_version"])}


def _shown(row: Mapping[str, Any], column: str, places: Collection[tuple[str, float]]) -> Any:
    """A cell as a person reads it: places in an order are ranks."""
    value = row[column]
    if column == "score" and value is not None and (row.get("selector") or row.get("order_by"), value) in places:
        return f"rank {rank_of(value)}"
    return value
