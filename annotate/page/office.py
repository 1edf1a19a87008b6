"""The office behind the page: who is asked which question next, and what has been said; no web, no store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from curate.annotate.protocol import Protocol
from curate.errors import BadDataError, BudgetSpentError, UnknownNameError
from curate.types import ABSTENTION_REASONS, LabellingDesk, PersonAnswer, Proposal, Question

WINDOW = 50
LONGEST_NAME = 40
Place = tuple[str, str]
"""An item and an attribute."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far people have come: questions settled and open, and answers by everybody and by one person."""

    settled: int
    open: int
    answers: int
    budget: int
    own: int


class Office:
    """Hands out questions to people by name and keeps what they say. Not for two threads at once.

    A question is settled when so many `people` have answered it, "cannot tell" included, or more where the desk wants
    more answers. Whoever is shown one holds it
    for `hold` seconds, so that two people do not answer the same without need. With a `budget`, no more answers than
    that are taken. What the office knows it learns from the desk's answers, so a new one goes on where the last ended.
    Memory: about a kilobyte an answer.
    """

    def __init__(
        self,
        desk: LabellingDesk,
        protocol: Protocol,
        *,
        attributes: Collection[str] = (),
        people: int = 1,
        budget: int = 0,
        hold: float = 120.0,
        reserved: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.desk = desk
        self.protocol = protocol
        self.attributes = protocol.chosen(attributes)
        self.people = people
        self.budget = budget
        self._hold = hold
        self._reserved = frozenset(reserved)
        self._clock = clock
        self._standing: dict[Place, dict[str, PersonAnswer]] = {}
        self._turns: dict[tuple[str, str, str], int] = {}
        self._history: dict[str, dict[Place, PersonAnswer]] = {}
        self._returned: dict[str, Place] = {}
        self._passed: dict[str, set[Place]] = {}
        self._windows: dict[str, list[Question]] = {}
        self._held: dict[Place, dict[str, float]] = {}
        self._ids: set[str] = set()
        self._said: dict[Place, int] = {}
        self._count = 0
        self._settled: set[Place] = set()
        self._wanted: dict[Place, int] = dict(desk.wanted_answers())
        self.taken_back: Counter[str] = Counter()
        for answer in desk.answers():
            self._learn(answer)
        self._open = desk.count_questions(self._settled)
        self._settled_before = len(self._settled)

    def name(self, given: str) -> str:
        """Return a person's name as it is kept.

        Raises:
            BadDataError: it is empty, too long, not printable, or the name of an annotator that is no person.
        """
        name = " ".join(given.split())
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise BadDataError(f"a name has 1 to {LONGEST_NAME} printable characters")
        if name in self._reserved or name.startswith("label-studio-"):
            raise BadDataError(f"{name!r} is the name of an annotator or a source; choose another")
        return name

    def next_question(self, person: str) -> Question | None:
        """Return what a person is to answer now, and hold it for them; None where nothing is left.

        What they have taken back comes first, what they passed over last.
        """
        returned = self._returned.get(person)
        if returned and self.desk.content(returned[0]):
            return self.question(*returned)
        for attempt in ("window", "store", "passed"):
            if attempt == "passed":
                self._passed.pop(person, set())
            if attempt != "window":
                self._fill(person)
            for question in self._windows.get(person, ()):
                if self._is_for(person, question):
                    self._take(person, question)
                    return question
        return None

    def answer(
        self,
        person: str,
        place: Place,
        *,
        value: str = "",
        reason: str = "",
        answer_id: str,
        saw: bool = False,
    ) -> PersonAnswer:
        """Keep what a person says to a question; the same `answer_id` again changes nothing.

        Raises:
            UnknownNameError: no such attribute, value or reason.
            BadDataError: no such item.
            BudgetSpentError: as many answers as the budget allows are there.
        """
        if reason:
            if reason not in ABSTENTION_REASONS[:2]:
                raise UnknownNameError("reason", reason, ABSTENTION_REASONS[:2])
        else:
            value = self.protocol.attribute(place[1]).answer(value)
        key = (*place, person)
        said = PersonAnswer(
            answer_id, person, place[0], self.protocol.name, self.protocol.version, place[1], _now(), value, reason,
            self._turns.get(key, 1), saw,
        )  # fmt: skip
        if answer_id in self._ids:
            return said
        if self.is_spent() and reason != "skip":
            raise BudgetSpentError(f"all {self.budget} answers of the budget are given")
        if self.desk.content(place[0]) is None:
            raise BadDataError(f"there is no item {place[0][:16]!r}")
        self.desk.keep(said)
        self._learn(said)
        return said

    def undo(self, person: str, answer_id: str) -> PersonAnswer | None:
        """Take a person's last answer back and return it; None where there is none."""
        last = self.last(person)
        if last is None or answer_id in self._ids:
            return None
        undone = PersonAnswer(
            answer_id, person, last.item_id, last.protocol, last.protocol_version, last.attribute, _now(),
            reason="undone", turn=last.turn,
        )  # fmt: skip
        self.desk.keep(undone)
        self._learn(undone)
        return last

    def pass_over(self, person: str, place: Place) -> None:
        """Let a question come again after the others."""
        self._passed.setdefault(person, set()).add(place)
        self._returned.pop(person, None)
        self._held.get(place, {}).pop(person, None)

    def is_spent(self) -> bool:
        """Whether the budget allows no more answers."""
        return bool(self.budget) and self._count >= self.budget

    def question(self, item_id: str, attribute: str) -> Question:
        """Return the question about an item and an attribute, with the kind that the desk knows."""
        return Question(item_id, attribute, self.desk.kind(item_id, attribute))

    def proposals(self, question: Question) -> Sequence[Proposal] | None:
        """Return what annotators claimed about a question; None where that may not be seen, as of an audit."""
        if self.desk.kind(question.item_id, question.attribute) == "audit":
            return None
        return self.desk.proposals(question)

    def last(self, person: str) -> PersonAnswer | None:
        """Return a person's last answer that stands."""
        return next(reversed(self._history.get(person, {}).values()), None)

    def progress(self, person: str) -> Progress:
        """Say how far people have come."""
        own = len(self._history.get(person, {}))
        newly = len(self._settled) - self._settled_before
        return Progress(len(self._settled), max(0, self._open - newly), self._count, self.budget, own)

    def standing(self) -> Iterator[PersonAnswer]:
        """Yield every answer that stands."""
        for answers in self._standing.values():
            yield from answers.values()

    def _learn(self, answer: PersonAnswer) -> None:
        if answer.answer_id in self._ids:
            return
        self._ids |= {answer.answer_id} - {""}
        place, person = (answer.item_id, answer.attribute), answer.person
        key = (*place, person)
        if answer.reason == "undone":
            self._take_back(place, answer)
        elif answer.turn >= self._turns.get(key, 1):
            self._turns[key] = answer.turn
            self._standing.setdefault(place, {})[person] = answer
            history = self._history.setdefault(person, {})
            history.pop(place, None)
            history[place] = answer
            self._returned.pop(person, None)
            self._held.get(place, {}).pop(person, None)
        self._count -= self._said.get(place, 0)
        self._said[place] = said = sum(one.reason != "skip" for one in self._standing.get(place, {}).values())
        self._count += said
        (self._settled.add if said >= self._needed(place) else self._settled.discard)(place)

    def _take_back(self, place: Place, answer: PersonAnswer) -> None:
        key = (*place, answer.person)
        if answer.turn < self._turns.get(key, 1):
            return
        self._turns[key] = answer.turn + 1
        self._standing.get(place, {}).pop(answer.person, None)
        self._history.get(answer.person, {}).pop(place, None)
        self._returned[answer.person] = place
        self.taken_back[answer.person] += 1

    def _needed(self, place: Place) -> int:
        return max(self.people, self._wanted.get(place, 1))

    def _fill(self, person: str) -> None:
        self._wanted = dict(self.desk.wanted_answers())
        self._settled -= {place for place in self._wanted if self._said.get(place, 0) < self._needed(place)}
        own = {place for place, answers in self._standing.items() if person in answers}
        self._windows[person] = list(self.desk.questions(self._settled | own | self._passed.get(person, set()), WINDOW))
        self._open, self._settled_before = self.desk.count_questions(self._settled), len(self._settled)

    def _is_for(self, person: str, question: Question) -> bool:
        place = (question.item_id, question.attribute)
        answered = self._standing.get(place, {})
        if place in self._settled or person in answered or place in self._passed.get(person, ()):
            return False
        if self._is_ruled_out(question):
            return False
        now = self._clock()
        others = sum(until > now for holder, until in self._held.get(place, {}).items() if holder != person)
        return sum(one.reason != "skip" for one in answered.values()) + others < self._needed(place)

    def _is_ruled_out(self, question: Question) -> bool:
        """Whether people's answers about another attribute say that this one does not apply."""
        for parent, values in self.protocol.attribute(question.attribute).when.items():
            asked = self.protocol.attribute(parent)
            said = [one.value for one in self._standing.get((question.item_id, parent), {}).values() if one.value]
            if said and not any(set(asked.parts(answer)) & set(values) for answer in said):
                return True
        return False

    def _take(self, person: str, question: Question) -> None:
        for holders in self._held.values():
            holders.pop(person, None)
        self._held = {place: holders for place, holders in self._held.items() if holders}
        self._held[question.item_id, question.attribute] = {
            **self._held.get((question.item_id, question.attribute), {}),
            person: self._clock() + self._hold,
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
