"""Entities: what a newer content of the same thing means for the older one."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from curate.store.entities import entity_decisions
from curate.store.store import Store
from curate.store.write import Write

Arrive = Callable[..., None]
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def arrive(store: Store, make: Any) -> Arrive:
    """Take in one batch of (item, entity) pairs, as ingestion does; `whole` says that each is a file of its own."""

    def ingest(*pairs: tuple[str, str], whole: bool = False, source: str = "web") -> None:
        items, entities = [item for item, _ in pairs], [entity for _, entity in pairs]
        locators = [f"{entity}.txt" if whole else f"{entity}.jsonl#{item}" for item, entity in pairs]
        table = {
            "item_id": items,
            "source": [source] * len(items),
            "locator": locators,
            "entity": entities,
            "whole": [whole] * len(items),
            "position": list(range(len(items))),
        }
        with store.reader() as reader:
            decisions = entity_decisions(reader, pa.table(table))
        origins = make.origins(items, source, entities, locator=locators)
        store.commit(Write("ingest", {"items": make.items(items), "origins": origins, "decisions": decisions}))

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
