"""Databases in memory that nobody uses now, kept for the next who wants one: to make one takes 20 ms of a processor."""

import os
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class Idle(Generic[Kept]):
    """At most `most` things of one kind; each is had by one at a time, in whichever thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[Kept] = []
        self._of_the_parent: list[Kept] = []
        os.register_at_fork(after_in_child=self._leave_to_the_parent)

    def take(self) -> Kept | None:
        """Return the one that was kept last, which nobody else has then, or None."""
        try:
            return self._kept.pop()
        except IndexError:
            return None

    def keep(self, one: Kept) -> bool:
        """Keep one for the next; false where there are enough, and the caller ends it."""
        if len(self._kept) >= self._most:
            return False
        self._kept.append(one)
        return True

    def _leave_to_the_parent(self) -> None:
        """Never touch, nor even end, in a child that was forked what the parent keeps: its threads did not come."""
        self._of_the_parent.extend(self._kept)
        self._kept.clear()
