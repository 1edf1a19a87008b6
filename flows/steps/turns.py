"""Settings that go back to an earlier version: its scores are computed again, for the newest word counts."""

from curate.store.reader import Reader

_TURN = " turn-"
_VERSIONS = """
    SELECT selector_version AS version, max(commit_number) AS last FROM scores
    WHERE selector = $selector GROUP BY ALL ORDER BY last DESC, version"""


def with_turn(reader: Reader, selector: str, version: str) -> str:
    """Return the version under which a selector scores now: with a turn's number where it went and came back.

    The store keeps a score of one version once, and everywhere the newest score of a selector counts. So a version
    that scored before another one did would leave the other's scores in force: it becomes `VERSION turn-N`, and every
    item is scored once more. Cost: one pass over two columns of the scores.

    Example: versions a, b, a, a, b in this order are called a, b, a turn-2, a turn-2, b turn-2.
    """
    known = reader.query(_VERSIONS, {"selector": selector})["version"].to_pylist()
    turns = [_turn(one) for one in known if _base(one) == version]
    if not turns:
        return version
    return known[0] if _base(known[0]) == version else f"{version}{_TURN}{max(turns) + 1}"


def _base(version: str) -> str:
    base, mark, turn = version.rpartition(_TURN)
    return base if mark and turn.isdecimal() else version


def _turn(version: str) -> int:
    return 1 if _base(version) == version else int(version.rpartition(_TURN)[2])
