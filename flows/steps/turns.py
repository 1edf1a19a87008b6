"""The newest score of a selector counts: what follows for settings that come back, and for items that are left out."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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


def gone(scored: pa.Array, ids: pa.Array) -> pa.Array:
    """Return the items that had a score and are not among those of a new order: they get NaN, which takes it back."""
    return scored.filter(pc.invert(pc.is_in(scored, ids)))


def places(count: int, left_out: int) -> NDArray[np.float64]:
    """Return the scores of an order, 0 for the first and -1 for the next, and NaN for those left out of it.

    >>> places(2, 1).tolist()
    [-0.0, -1.0, nan]
    """
    return np.concatenate([-np.arange(count, dtype=np.float64), np.full(left_out, np.nan)])


def _base(version: str) -> str:
    base, mark, turn = version.rpartition(_TURN)
    return base if mark and turn.isdecimal() else version


def _turn(version: str) -> int:
    return 1 if _base(version) == version else int(version.rpartition(_TURN)[2])
