"""Which checkpoint of a learner is served: every verdict, promotion, rollback and forgetting, by turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from curate.errors import UsageError
from curate.store.checkpoints import Checkpoint, newest_checkpoint
from curate.store.reader import Reader
from curate.store.write import CursorMove, rows

PROMOTED, KEPT, BY_HAND, ROLLED_BACK, FORGOT = "promoted", "kept", "by hand", "rolled back", "forgot"
_HISTORY = """
    SELECT turn, checkpoint, number, served, action, reason, commit_number FROM promotions
    WHERE learner = ? AND learner_version = ? AND encoder_version = ? AND snapshot = ? ORDER BY turn"""
_CHECKPOINTS = """
    SELECT checkpoint, any_value(number) AS number FROM checkpoints
    WHERE learner = ? AND learner_version = ? AND encoder_version = ? AND snapshot = ? AND starts_with(checkpoint, ?)
    GROUP BY checkpoint ORDER BY number, checkpoint"""
_FORGOTTEN_SINCE = """
    SELECT count(*) AS times FROM promotions p
    WHERE p.learner = ? AND p.learner_version = ? AND p.encoder_version = ? AND p.snapshot = ? AND p.action = 'forgot'
      AND p.commit_number > (
        SELECT min(commit_number) FROM checkpoints c WHERE c.learner = p.learner AND c.checkpoint = ?)"""


@dataclass(frozen=True, slots=True)
class Served:
    """A learner whose checkpoints belong together: the same name, parameters, encoder and snapshot."""

    learner: str
    learner_version: str
    encoder_version: str
    snapshot: str

    @property
    def key(self) -> list[str]:
        """The four in the order of the questions."""
        return [self.learner, self.learner_version, self.encoder_version, self.snapshot]

    @property
    def consumer(self) -> str:
        """The name of the cursor that counts the turns: two writers cannot take the same."""
        return f"promotions/{self.learner}/{self.snapshot}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One entry of a learner's history: `action` says what became of `checkpoint` while `served` was served."""

    turn: int
    checkpoint: str
    number: int
    served: str
    action: str
    reason: str
    commit_number: int = 0


def history(reader: Reader, learner: Served) -> list[Turn]:
    """Return all turns, oldest first."""
    return [Turn(**row) for row in reader.query(_HISTORY, learner.key).to_pylist()]


def served_checkpoint(reader: Reader, learner: Served) -> Checkpoint | None:
    """Return the checkpoint that annotates: that of the last turn but `kept`, or the newest where there is no turn."""
    turns = [turn for turn in history(reader, learner) if turn.action != KEPT]
    return Checkpoint(turns[-1].checkpoint, turns[-1].number) if turns else newest_checkpoint(reader, *learner.key)


def served_again(turns: Sequence[Turn]) -> int:
    """Return the turn in which the served checkpoint came back after another had been served; 0 where it never left."""
    counted = (turn for turn in turns if turn.action != KEPT)
    stays = [next(group) for _, group in groupby(counted, key=lambda turn: turn.checkpoint)]
    back = stays and (stays[-1].action == ROLLED_BACK or stays[-1].checkpoint in {one.checkpoint for one in stays[:-1]})
    return stays[-1].turn if back else 0


def served_before(turns: Sequence[Turn]) -> Turn | None:
    """Return the turn to which a rollback goes: what was served before the served one came; None where nothing was.

    What was rolled back from does not count as served before, so two rollbacks go two steps back.

    Raises:
        UsageError: the served checkpoint came by forgetting, and the one before it holds what was forgotten.
    """
    stack: list[Turn] = []
    for turn in turns:
        if turn.action == KEPT:
            continue
        places = [place for place, one in enumerate(stack) if one.checkpoint == turn.checkpoint]
        stack = stack[: places[0] + 1] if turn.action == ROLLED_BACK and places else [*stack, turn]
    if len(stack) < 2:
        return None
    if stack[-1].action == FORGOT:
        raise UsageError(
            f"the served checkpoint came by forgetting ({stack[-1].reason}), and the one before it holds that again",
            unchanged="nothing was rolled back",
            hint=f"curate rollback NAME --to {stack[-2].checkpoint[:12]}, if that is what you want",
        )
    return stack[-2]


def find_checkpoint(reader: Reader, learner: Served, name: str) -> Checkpoint:
    """Return the learner's checkpoint whose name begins so.

    Raises:
        UsageError: there is none, or several.
    """
    found = reader.query(_CHECKPOINTS, [*learner.key, name]).to_pylist()
    if len(found) == 1:
        return Checkpoint(found[0]["checkpoint"], found[0]["number"])
    said = f"{len(found)} checkpoints" if found else "no checkpoint"
    raise UsageError(
        f"{said} of learner {learner.learner!r} as it is now begin with {name!r}",
        hint=f"curate sql \"SELECT number, checkpoint FROM checkpoints WHERE learner = '{learner.learner}'\"",
    )


def forgotten_since(reader: Reader, learner: Served, checkpoint: str) -> bool:
    """Whether the learner has been made to forget after this checkpoint, which then holds what was forgotten."""
    [row] = reader.query(_FORGOTTEN_SINCE, [*learner.key, checkpoint]).to_pylist()
    return bool(row["times"])


def turn_write(learner: Served, last: str, turn: Turn) -> tuple[dict[str, pa.Table], CursorMove]:
    """Return the row of one more turn, and the move of the cursor that stands at `last`; it is void if that moved."""
    columns = {
        "learner": learner.learner,
        "learner_version": learner.learner_version,
        "encoder_version": learner.encoder_version,
        "snapshot": learner.snapshot,
        "turn": turn.turn,
        "checkpoint": turn.checkpoint,
        "number": turn.number,
        "served": turn.served,
        "action": turn.action,
        "reason": turn.reason,
    }
    return {"promotions": rows("promotions", columns, 1)}, CursorMove(learner.consumer, "", last, str(turn.turn))
