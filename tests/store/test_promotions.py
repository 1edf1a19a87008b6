"""Which checkpoint is served: turn by turn, with no two writers in one turn, and back by rollbacks."""

from typing import Any

import pytest

from curate.errors import UsageError
from curate.store.checkpoints import Checkpoint
from curate.store.promotions import (
    BY_HAND,
    FORGOT,
    KEPT,
    PROMOTED,
    ROLLED_BACK,
    Served,
    Turn,
    find_checkpoint,
    forgotten_since,
    history,
    served_again,
    served_before,
    served_checkpoint,
    turn_write,
)
from curate.store.store import Store
from curate.store.write import Write, rows

PUPIL = Served("pupil", "1", "e", "digits")


def turns(*made: tuple[str, str]) -> list[Turn]:
    """Turns by action and checkpoint."""
    return [Turn(place, name, place, "", action, "why") for place, (action, name) in enumerate(made, 1)]


def name_served_before(*made: tuple[str, str]) -> str | None:
    found = served_before(turns(*made))
    return found.checkpoint if found else None


@pytest.mark.parametrize(
    ("made", "turn"),
    [
        ([], 0),
        ([(PROMOTED, "a"), (PROMOTED, "b")], 0),
        ([(PROMOTED, "a"), (PROMOTED, "b"), (KEPT, "a")], 0),
        ([(PROMOTED, "a"), (KEPT, "b"), (PROMOTED, "a")], 0),
        ([(PROMOTED, "a"), (PROMOTED, "b"), (ROLLED_BACK, "a")], 3),
        ([(PROMOTED, "a"), (PROMOTED, "b"), (BY_HAND, "a"), (KEPT, "c")], 3),
        ([(ROLLED_BACK, "a")], 1),
        ([(PROMOTED, "a"), (PROMOTED, "b"), (ROLLED_BACK, "a"), (PROMOTED, "c")], 0),
        ([(PROMOTED, "a"), (PROMOTED, "b"), (ROLLED_BACK, "a"), (PROMOTED, "c"), (ROLLED_BACK, "a")], 5),
    ],
)
def test_a_checkpoint_comes_back_where_another_was_served_between(made: list[tuple[str, str]], turn: int) -> None:
    assert served_again(turns(*made)) == turn


def checkpoint(name: str, number: int) -> dict[str, Any]:
    header = {
        "checkpoint": name, "learner": "pupil", "learner_version": "1", "parent": "", "snapshot": "digits",
        "number": number, "content_hash": "", "encoder_version": "e", "classes": [["a"]], "items": 1, "size": 1,
    }  # fmt: skip
    return {"checkpoints": rows("checkpoints", header, 1)}


def take_turn(store: Store, last: str, name: str, number: int, action: str) -> bool:
    """Commit a checkpoint with a turn; whether it was in time."""
    turn = Turn(int(last or 0) + 1, name, number, "", action, "why")
    tables, move = turn_write(PUPIL, last, turn)
    return not store.commit(Write("learn", {**tables, **checkpoint(name, number)}, [move])).stale


def test_a_rollback_goes_back_one_step_at_a_time() -> None:
    assert name_served_before((PROMOTED, "a")) is None
    assert name_served_before((PROMOTED, "a"), (PROMOTED, "b")) == "a"
    assert name_served_before((PROMOTED, "a"), (PROMOTED, "b"), (KEPT, "c")) == "a"
    history = [(PROMOTED, "a"), (PROMOTED, "b"), (BY_HAND, "c")]
    assert name_served_before(*history, (ROLLED_BACK, "b")) == "a"
    assert name_served_before(*history, (ROLLED_BACK, "b"), (ROLLED_BACK, "a")) is None
    assert name_served_before(*history, (ROLLED_BACK, "b"), (PROMOTED, "d")) == "b"


def test_a_rollback_does_not_undo_a_forgetting_by_itself() -> None:
    with pytest.raises(UsageError, match="came by forgetting") as caught:
        served_before(turns((PROMOTED, "a" * 64), (FORGOT, "b" * 64)))
    assert "--to aaaaaaaaaaaa," in (caught.value.hint or "")
    assert name_served_before((PROMOTED, "a"), (FORGOT, "b"), (PROMOTED, "c")) == "b"


def test_what_is_kept_is_not_served_and_no_turn_is_taken_twice(store: Store) -> None:
    assert take_turn(store, "", "aa", 1, PROMOTED)
    assert take_turn(store, "1", "ab", 2, KEPT)
    assert not take_turn(store, "1", "bb", 2, PROMOTED)
    with store.reader() as reader:
        assert [turn.action for turn in history(reader, PUPIL)] == [PROMOTED, KEPT]
        assert served_checkpoint(reader, PUPIL) == Checkpoint("aa", 1)
        assert served_checkpoint(reader, Served("pupil", "2", "e", "digits")) is None
        assert find_checkpoint(reader, PUPIL, "ab") == Checkpoint("ab", 2)
        for name, said in (("a", "2 checkpoints"), ("bb", "no checkpoint")):
            with pytest.raises(UsageError, match=said):
                find_checkpoint(reader, PUPIL, name)


def test_without_a_turn_the_newest_is_served(store: Store) -> None:
    """As in a store of before there were promotions."""
    store.commit(Write("learn", checkpoint("aa", 1)))
    store.commit(Write("learn", checkpoint("bb", 1)))
    with store.reader() as reader:
        assert served_checkpoint(reader, PUPIL) == Checkpoint("bb", 1)


def test_older_checkpoints_hold_what_was_forgotten_since(store: Store) -> None:
    take_turn(store, "", "aa", 1, PROMOTED)
    take_turn(store, "1", "bb", 1, FORGOT)
    take_turn(store, "2", "cc", 2, PROMOTED)
    with store.reader() as reader:
        assert [forgotten_since(reader, PUPIL, name) for name in ("aa", "bb", "cc")] == [True, False, False]
