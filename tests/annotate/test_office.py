"""Who is asked what: nobody twice, nobody what another holds, what was taken back first; a new office goes on."""

from collections.abc import Collection, Sequence

import pytest

from curate.annotate.page.agreement import agreements
from curate.annotate.page.office import Office
from curate.annotate.protocol import Attribute, Protocol
from curate.errors import BadDataError, BudgetSpentError, UnknownNameError
from curate.types import ItemContent, PersonAnswer, Proposal, Question, QuestionKind

PROTOCOL = Protocol("p", "1", (Attribute("topic", "What?", ("code", "prose")),))


class FakeDesk:
    """A desk of ten texts in memory; item 3 is an audit."""

    def __init__(self) -> None:
        self.kept: list[PersonAnswer] = []
        self.wanted: dict[tuple[str, str], int] = {}

    def questions(self, without: Collection[tuple[str, str]], count: int) -> Sequence[Question]:
        places = [(str(number), "topic") for number in range(10)]
        return [Question(*place, self.kind(*place)) for place in places if place not in without][:count]

    def count_questions(self, without: Collection[tuple[str, str]]) -> int:
        return len(self.questions(without, 100))

    def wanted_answers(self) -> dict[tuple[str, str], int]:
        return self.wanted

    def kind(self, item_id: str, attribute: str) -> QuestionKind:
        return "audit" if item_id == "3" else "label"

    def content(self, item_id: str) -> ItemContent | None:
        return ItemContent(item_id, "text", text=f"text {item_id}") if item_id.isdigit() else None

    def proposals(self, question: Question) -> Sequence[Proposal]:
        return [Proposal("code", 0.5, "model")]

    def answers(self) -> Sequence[PersonAnswer]:
        return list(self.kept)

    def keep(self, answer: PersonAnswer) -> None:
        self.kept.append(answer)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(office: Office, person: str) -> str | None:
    question = office.next_question(person)
    return question.item_id if question else None


def say(office: Office, person: str, item: str, value: str = "code", **more: str) -> PersonAnswer:
    number = len(office.desk.kept)  # type: ignore[attr-defined]
    return office.answer(person, (item, "topic"), value=value, answer_id=more.pop("answer_id", f"id{number}"), **more)


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


def test_two_people_hold_different_questions_until_one_goes_away(desk: FakeDesk) -> None:
    clock = Clock()
    office = Office(desk, PROTOCOL, hold=60, clock=clock)
    assert (ask(office, "ada"), ask(office, "ben"), ask(office, "ada")) == ("0", "1", "0")
    say(office, "ben", "1")
    assert ask(office, "ben") == "2"
    clock.now = 61
    assert ask(office, "cleo") == "0"


def test_each_question_is_asked_of_so_many_people_and_never_twice_of_one(desk: FakeDesk) -> None:
    office = Office(desk, PROTOCOL, people=2)
    for person in ("ada", "ben", "cleo"):
        while (item := ask(office, person)) is not None:
            say(office, person, item)
    assert len(desk.kept) == 20
    assert {(answer.item_id, answer.person) for answer in desk.kept if answer.person == "cleo"} == set()
    assert ask(Office(desk, PROTOCOL, people=2), "cleo") is None
    assert office.progress("ada").open == 0


def test_what_is_taken_back_comes_first_in_a_new_turn_even_after_a_restart(desk: FakeDesk) -> None:
    office = Office(desk, PROTOCOL)
    for item in "012":
        assert ask(office, "ada") == item
        say(office, "ada", item)
    assert office.undo("ada", "undo-1") is not None
    assert office.undo("ada", "undo-1") is None
    again = Office(desk, PROTOCOL)
    assert (ask(office, "ada"), ask(again, "ada"), again.progress("ada").settled) == ("2", "2", 2)
    assert say(again, "ada", "2", "prose").turn == 2
    assert [answer.value for answer in again.standing()] == ["code", "code", "prose"]
    assert again.undo("ada", "undo-2") is not None
    assert again.undo("ada", "undo-3") is not None
    assert (ask(again, "ada"), again.progress("ada").own) == ("1", 1)


def test_the_same_answer_sent_again_is_one_answer(desk: FakeDesk) -> None:
    office = Office(desk, PROTOCOL)
    say(office, "ada", "0", answer_id="same")
    say(office, "ada", "0", answer_id="same")
    say(Office(desk, PROTOCOL), "ada", "0", answer_id="same")
    assert len(desk.kept) == 1


def test_skipped_goes_to_others_passed_over_comes_again_and_cannot_tell_settles(desk: FakeDesk) -> None:
    office = Office(desk, PROTOCOL)
    say(office, "ada", "0", "", reason="skip")
    say(office, "ada", "1", "", reason="cannot tell")
    office.pass_over("ada", ("2", "topic"))
    for item in "3456789":
        assert ask(office, "ada") == item
        say(office, "ada", item)
    assert ask(office, "ada") == "2"
    assert ask(office, "ben") == "0"


def test_a_budget_ends_the_questions_and_audits_show_no_proposal(desk: FakeDesk) -> None:
    office = Office(desk, PROTOCOL, budget=1)
    say(office, "ada", "0")
    assert office.is_spent()
    with pytest.raises(BudgetSpentError):
        say(office, "ben", "1")
    assert office.proposals(Question("1", "topic"))
    assert office.proposals(Question("3", "topic")) is None


def test_what_cannot_be_an_answer_or_a_name_is_refused(desk: FakeDesk) -> None:
    office = Office(desk, PROTOCOL, reserved={"model"})
    for item, value, reason in (("0", "verse", ""), ("0", "", "undone"), ("0", "", "bored")):
        with pytest.raises(UnknownNameError):
            say(office, "ada", item, value, reason=reason)
    with pytest.raises(BadDataError, match="no item"):
        say(office, "ada", "x")
    for name in ("", "  ", "model", "label-studio-3", "a\u202eb", "x" * 41):
        with pytest.raises(BadDataError):
            office.name(name)
    assert office.name("  Ada   Lovelace ") == "Ada Lovelace"
    assert desk.kept == []


def test_the_owner_sees_how_far_people_agree(desk: FakeDesk) -> None:
    office = Office(desk, PROTOCOL, people=2)
    for item, values in enumerate((("code", "code"), ("code", "prose"), ("prose", "prose"), ("prose", "prose"))):
        for person, value in zip(("ada", "ben"), values, strict=True):
            say(office, person, str(item), value)
    say(office, "ada", "5", "", reason="cannot tell")
    [found] = agreements(office.standing(), ["topic"])
    assert (found.answers, found.items, round(found.alpha or 0, 4)) == (8, 4, 0.5333)
    assert found.share is not None
    assert found.share.value == 0.75


def test_a_question_that_wants_two_answers_is_asked_of_a_second_person(desk: FakeDesk) -> None:
    desk.wanted = {("0", "topic"): 2}
    office = Office(desk, PROTOCOL)
    say(office, "ada", "0")
    assert ask(office, "ada") == "1"
    assert ask(office, "ben") == "0"
    say(office, "ben", "0", "prose")
    assert {ask(office, "cam"), ask(office, "dan")} == {"1", "2"} - {"1"} | {"3"}
    assert office.progress("ada").settled == 1
