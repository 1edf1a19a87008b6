from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.select.clusters import Forest, Member, buckets, connect, judge

names = st.sampled_from("abcdefgh")
pairs = st.lists(st.tuples(names, names), max_size=12)


@given(pairs, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_joining(edges: list[tuple[str, str]], chance: object) -> None:
    shuffled = list(edges)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Forest[str](), Forest[str]()
    for first, second in edges:
        one.join(first, second)
    for first, second in shuffled:
        other.join(second, first)
    assert one.groups("abcdefgh") == other.groups("abcdefgh")
    assert all(head == min(group) for head, group in one.groups("abcdefgh").items())
    assert all(one.find(first) == one.find(second) for first, second in edges)


@given(pairs, st.lists(st.lists(names, unique=True), max_size=6))
def test_connecting_finds_the_groups_that_all_comparisons_would(
    edges: list[tuple[str, str]], groups: list[list[str]]
) -> None:
    alike = {frozenset(edge) for edge in edges}
    forest, full = Forest[str](), Forest[str]()
    joined = connect(forest, groups, lambda first, second: frozenset((first, second)) in alike)
    for group in groups:
        for first, second in combinations(group, 2):
            if frozenset((first, second)) in alike:
                full.join(first, second)
    assert forest.groups("abcdefgh") == full.groups("abcdefgh")
    assert len(joined) == 8 - len(forest.groups("abcdefgh"))


def test_what_is_all_alike_is_compared_once_each() -> None:
    compared: list[tuple[int, int]] = []
    connect(Forest[int](), [list(range(50))] * 9, lambda first, second: not compared.append((first, second)))
    assert len(compared) == 49


def test_what_is_unlike_is_not_compared_again() -> None:
    compared: list[tuple[int, int]] = []
    connect(Forest[int](), [[1, 2, 3]] * 9, lambda first, second: bool(compared.append((first, second))))
    assert len(compared) == 3


def test_a_large_group_is_compared_with_its_first_items_only() -> None:
    compared: list[tuple[int, int]] = []
    connect(Forest[int](), [list(range(10))], lambda first, second: bool(compared.append((first, second))), most=2)
    assert len(compared) == 9 + 8


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(4, 6), st.booleans()), max_size=8))
def test_buckets_hold_all_pairs_that_share_a_key(drawn: list[tuple[int, int, bool]]) -> None:
    keys = np.array([row[:2] for row in drawn], np.int64).reshape(len(drawn), 2)
    present = np.array([row[2] for row in drawn], np.bool_)
    found = {pair for group in buckets(keys, present) for pair in combinations(group, 2)}
    expected = {
        (first, second)
        for first, second in combinations(range(len(drawn)), 2)
        if present[first] and present[second] and set(keys[first]) & set(keys[second])
    }
    assert found == expected


def test_without_keys_nothing_is_shared() -> None:
    assert list(buckets(np.zeros((3, 0), np.int64), np.ones(3, np.bool_))) == []


@given(st.dictionaries(names, st.booleans(), min_size=1))
def test_what_evaluates_is_kept_and_else_the_smallest(members: dict[str, bool]) -> None:
    verdicts = list(judge(Member(name, evaluates) for name, evaluates in members.items()))
    kept = {verdict.item_id for verdict in verdicts if verdict.duplicate_of is None}
    assert kept == ({name for name in members if members[name]} or {min(members)})
    assert {verdict.representative for verdict in verdicts} == {min(members)}
    assert {verdict.duplicate_of for verdict in verdicts} <= kept | {None}
    assert all(verdict.against_evaluation == any(members.values()) for verdict in verdicts if verdict.duplicate_of)
