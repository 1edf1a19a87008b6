"""Which commit a person means: its number, or a time."""

from datetime import UTC, datetime

from curate.errors import UsageError
from curate.store.reader import Reader


def commit_as_of(reader: Reader, moment: str) -> int:
    """Return the commit that `moment` names: a commit's number, or the last commit at or before an ISO 8601 time.

    A time without a zone is in UTC, as curate shows times; a date means its first instant.

    Raises:
        UsageError: it is neither, the store has not come so far, or it held nothing yet.
    """
    number = int(moment) if moment.isascii() and moment.isdigit() else _last_before(reader, _time(moment), moment)
    if not 0 < number <= reader.commit_number:
        raise UsageError(
            f"there is no commit {number}: the store's commits go from 1 to {reader.commit_number}",
            hint="curate sql 'SELECT commit_number, step, committed_at FROM commits'",
        )
    return number


def _time(moment: str) -> datetime:
    try:
        time = datetime.fromisoformat(moment)
    except ValueError:
        raise UsageError(
            f"{moment!r} is neither a commit's number nor a time", hint="write 57, 2026-11-23 or 2026-11-23T08:30+01:00"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _last_before(reader: Reader, time: datetime, moment: str) -> int:
    found = reader.query(
        "SELECT max(commit_number) AS number FROM commits WHERE epoch_us(committed_at) <= ?",
        [int(time.timestamp() * 1_000_000)],
    )
    number = found["number"][0].as_py()
    if number is None:
        raise UsageError(
            f"at {moment} nothing had been committed yet",
            hint="curate sql 'SELECT min(committed_at) FROM commits'",
        )
    return int(number)
