"""Places: what a source says otherwise of an item, and labels that it takes up again."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.store.places import label_turns, look_at_places
from curate.store.store import Store
from curate.store.write import Write

Ask = Callable[..., list[dict[str, Any]]]
Row = tuple[str, str, str, str]
PLACES = count()


def arriving(rows: list[Row]) -> pa.Table:
    """Rows of (item, locator, licence, metadata) in the order of their arrival."""
    names = ("item_id", "locator", "licence", "metadata")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    return pa.table({**columns, "source": ["web"] * len(rows), "position": list(range(len(rows)))})


@pytest.fixture
def take_in(store: Store, make: Any) -> Callable[..., int]:
    """Take in rows as ingestion does, and return how many restatements were added."""

    def ingest(*rows: Row) -> int:
        table = arriving(list(rows))
        with store.reader() as reader:
            look = look_at_places(reader, table)
        items = table["item_id"].to_pylist()
        told = {name: table[name] for name in ("locator", "licence", "metadata")}
        tables = {"items": make.items(items), "origins": make.origins(items, **told)}
        commit = store.commit(Write("ingest", {**tables, "restatements": look.restatements}))
        return commit.added.get("restatements", 0)

    return ingest


def test_a_licence_that_is_corrected_is_the_one_that_counts(take_in: Callable[..., int], ask: Ask) -> None:
    assert take_in(("a", "x#1", "unknown", ""), ("b", "x#2", "MIT", "")) == 0
    assert take_in(("a", "x#1", "MIT", '{"lang":"en"}'), ("b", "x#2", "MIT", "")) == 1
    query = "SELECT item_id, licence, metadata FROM latest_origins ORDER BY item_id"
    assert ask(query) == [
        {"item_id": "a", "licence": "MIT", "metadata": '{"lang":"en"}'},
        {"item_id": "b", "licence": "MIT", "metadata": ""},
    ]
    assert ask("SELECT licence FROM origins WHERE item_id = 'a'") == [{"licence": "unknown"}]
    assert take_in(("a", "x#1", "MIT", '{"lang":"en"}'), ("b", "x#2", "MIT", "")) == 0
    assert take_in(("a", "x#1", "unknown", "")) == 1
    assert ask(query)[0] == {"item_id": "a", "licence": "unknown", "metadata": ""}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_place_always_says_what_arrived_there_last(store: Store, make: Any, words: list[list[str]]) -> None:
    """Whatever comes back whenever: the newest row of a place is its last arrival, and repeating it adds nothing."""
    place = f"x#{next(PLACES)}"
    newest = """
        SELECT item_id FROM (SELECT item_id, locator, commit_number, 0 AS turn FROM origins
            UNION ALL SELECT item_id, locator, commit_number, turn FROM restatements)
        WHERE locator = ? ORDER BY commit_number DESC, turn DESC LIMIT 1"""
    for said in [word for word in words for _ in range(2)]:
        with store.reader() as reader:
            look = look_at_places(reader, arriving([(item, place, "", "") for item in said]))
        origins = make.origins(said, locator=[place] * len(said))
        tables = {"items": make.items(said), "origins": origins, "restatements": look.restatements}
        last = store.commit(Write("ingest", tables))
        with store.reader() as reader:
            assert reader.query(newest, [place])["item_id"].to_pylist() == [said[-1]]
    assert last.number is None


def claims(make: Any, rows: list[tuple[str, str]], version: str = "1") -> pa.Table:
    items, values = [item for item, _ in rows], [value for _, value in rows]
    return make.claims(items, values, "web", "source", annotator_version=version)


def test_a_label_that_is_taken_up_again_is_a_new_claim(take_in: Callable[..., int], store: Store, make: Any) -> None:
    place = ("a", "x#1", "", "")
    take_in(place)
    store.commit(Write("ingest", {"annotations": claims(make, [("a", "good")])}))
    with store.reader() as reader:
        assert label_turns(reader, arriving([place]), claims(make, [("a", "good")])) == {}
        assert label_turns(reader, arriving([place]), claims(make, [("a", "bad")])) == {}
    store.commit(Write("ingest", {"annotations": claims(make, [("a", "bad")])}))
    with store.reader() as reader:
        assert label_turns(reader, arriving([place]), claims(make, [("a", "good")])) == {"a": 2}
    store.commit(Write("ingest", {"annotations": claims(make, [("a", "good")], "2")}))
    with store.reader() as reader:
        assert label_turns(reader, arriving([place]), claims(make, [("a", "good")])) == {}
        assert label_turns(reader, arriving([place]), claims(make, [("a", "bad")])) == {"a": 3}


def test_an_item_in_several_places_keeps_its_newest_label(take_in: Callable[..., int], store: Store, make: Any) -> None:
    """The first file is read again because it grew: what it says of `a` is as old as ever."""
    first, second = ("a", "old#1", "", ""), ("a", "new#1", "", "")
    take_in(first)
    store.commit(Write("ingest", {"annotations": claims(make, [("a", "good")])}))
    take_in(second)
    store.commit(Write("ingest", {"annotations": claims(make, [("a", "bad")])}))
    with store.reader() as reader:
        assert label_turns(reader, arriving([first]), claims(make, [("a", "good")])) == {}
        both = arriving([first, second])
        assert label_turns(reader, both, claims(make, [("a", "good"), ("a", "bad")])) == {}
        assert label_turns(reader, both, claims(make, [("a", "good"), ("a", "good")])) == {"a": 2}
