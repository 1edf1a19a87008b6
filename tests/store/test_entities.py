"""Entities: what a newer content of the same thing means for the older one."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from curate.store.entities import entity_decisions
from curate.store.places import look_at_places
from curate.store.store import Store
from curate.store.write import Write

Arrive = Callable[..., None]
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def arrive(store: Store, make: Any) -> Arrive:
    """Take in one batch of (item, entity) pairs, as ingestion does; `whole` says that each is a file of its own.

    Each item has a place of its own, unless all lie `at` the same one.
    """

    def ingest(*pairs: tuple[str, str], whole: bool = False, source: str = "web", at: str = "") -> None:
        items, entities = [item for item, _ in pairs], [entity for _, entity in pairs]
        locators = [at or (f"{entity}.txt" if whole else f"{entity}.jsonl#{item}") for item, entity in pairs]
        count = len(items)
        position = list(range(count))
        said = {"item_id": items, "source": [source] * count, "locator": locators, "position": position}
        said |= {"licence": [""] * count, "metadata": [""] * count}
        with store.reader() as reader:
            look = look_at_places(reader, pa.table(said))
            arrivals = {"item_id": items, "entity": entities, "whole": [whole] * count, "position": position}
            decisions = entity_decisions(reader, pa.table({**arrivals, "changed": look.changed}))
        origins = make.origins(items, source, entities, locator=locators)
        tables = {"items": make.items(items), "origins": origins, "decisions": decisions}
        store.commit(Write("ingest", {**tables, "restatements": look.restatements}))

    return ingest


@pytest.fixture
def alive(ask: Ask) -> Callable[[], str]:
    """The items that no decision drops, in order."""

    def query() -> str:
        return "".join(row["item_id"] for row in ask("FROM items ANTI JOIN dropped USING (item_id) ORDER BY item_id"))

    return query


Alive = Callable[[], str]


def test_a_newer_content_supersedes(arrive: Arrive, alive: Alive, ask: Ask) -> None:
    arrive(("a", "page"), whole=True)
    arrive(("b", "page"), whole=True)
    assert alive() == "b"
    assert ask("SELECT item_id, step, reason FROM dropped") == [
        {"item_id": "a", "step": "ingest", "reason": "superseded by b"}
    ]
    arrive(("c", "page"), whole=True)
    assert alive() == "c"


def test_a_returning_content_lives_again(arrive: Arrive, alive: Alive) -> None:
    for item, left in [("a", "a"), ("b", "b"), ("a", "a"), ("b", "b")]:
        arrive((item, "page"), whole=True)
        assert alive() == left


def test_an_unchanged_file_changes_nothing(arrive: Arrive, ask: Ask) -> None:
    arrive(("a", "page"), whole=True)
    arrive(("a", "page"), whole=True)
    assert ask("FROM decisions") == []


def test_a_row_that_was_read_before_is_no_arrival(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "user"))
    arrive(("b", "user"))
    arrive(("a", "user"))
    assert alive() == "b"


def test_a_row_that_goes_back_to_what_it_said_is_an_arrival(arrive: Arrive, alive: Alive, ask: Ask) -> None:
    for item in ("a", "b", "a", "b", "a"):
        arrive((item, "user"), at="data.jsonl#1")
        assert alive() == item
    commits = ask("SELECT count(*) AS count FROM commits")
    arrive(("a", "user"), at="data.jsonl#1")
    assert ask("SELECT count(*) AS count FROM commits") == commits


def test_a_row_that_says_the_same_does_not_win_over_another_row(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "user"), at="old.jsonl#1")
    arrive(("b", "user"), at="new.jsonl#1")
    arrive(("a", "user"), at="old.jsonl#1")
    assert alive() == "b"


def test_of_two_arrivals_at_one_place_the_last_is_what_it_says(arrive: Arrive, alive: Alive, ask: Ask) -> None:
    for _ in range(2):
        arrive(("a", "user"), ("b", "user"), at="command#user")
        assert alive() == "b"
        assert ask("SELECT item_id, turn FROM restatements") == [{"item_id": "b", "turn": 1}]
    arrive(("b", "user"), ("a", "user"), at="command#user")
    assert alive() == "a"


def test_a_content_that_another_entity_holds_stays(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "page"), ("a", "copy"), whole=True)
    arrive(("b", "page"), whole=True)
    assert alive() == "ab"


def test_a_content_that_no_entity_holds_stays(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "page"), ("a", ""))
    arrive(("b", "page"))
    assert alive() == "ab"


def test_both_entities_leave_a_content_at_once(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "page"), ("a", "copy"), whole=True)
    arrive(("b", "page"), ("c", "copy"), whole=True)
    assert alive() == "bc"


def test_the_last_of_two_rows_in_a_batch_wins(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "user"), ("b", "user"), ("x", "other"))
    assert alive() == "bx"
    arrive(("d", "user"), ("c", "user"))
    assert alive() == "cx"


def test_a_content_that_moves_to_another_entity_lives(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "page"), whole=True)
    arrive(("b", "page"), whole=True)
    arrive(("a", "copy"), whole=True)
    assert alive() == "ab"


def test_items_without_an_entity_supersede_nothing(arrive: Arrive, ask: Ask) -> None:
    arrive(("a", ""), ("b", ""))
    assert ask("FROM decisions") == []


def test_a_content_that_returns_without_an_entity_lives(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "page"), whole=True)
    arrive(("b", "page"), whole=True)
    arrive(("a", ""), source="elsewhere")
    assert alive() == "ab"


def test_a_content_that_stays_without_an_entity_is_not_superseded(arrive: Arrive, alive: Alive) -> None:
    arrive(("a", "page"))
    arrive(("b", "page"), ("a", ""))
    assert alive() == "ab"


def test_another_steps_drop_is_not_lifted(arrive: Arrive, alive: Alive, store: Store, make: Any) -> None:
    arrive(("a", "page"), whole=True)
    store.commit(Write("dedup", {"decisions": make.decisions(["a"], "drop")}))
    arrive(("b", "page"), whole=True)
    arrive(("a", "page"), whole=True)
    assert alive() == ""
