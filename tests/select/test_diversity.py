import zlib

import numpy as np
import pytest

from curate.errors import BadDataError
from curate.select import diversity
from curate.select.diversity import Stages, entropy_law_order, facility_location_order, without_near_duplicates

WORDS = [
    f"{first}{last}"
    for first in ("alpha", "beta", "gamma", "delta")
    for last in ("one", "two", "three", "four", "five")
]


def prose(seed: int, words: int = 40) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def test_of_each_group_of_copies_the_best_ranked_stays() -> None:
    one, two = prose(1), prose(2)
    assert without_near_duplicates([two + " end", one, two, "short", one + " x"]).tolist() == [0, 1, 3]
    assert without_near_duplicates([]).tolist() == []


def test_the_entropy_law_takes_what_is_least_redundant_after_what_it_has() -> None:
    texts = [prose(seed) for seed in range(30)] + ["same same same same " * 8] * 5
    order = entropy_law_order(texts, 10, Stages(35, 35, 10)).tolist()
    assert len(set(order)) == 10
    assert all(place < 30 for place in order)
    window = b""
    left = set(range(len(texts)))
    for place in order:
        packed = {other: diversity._redundancy(texts[other].encode(), window) for other in left}
        assert packed[place] == min(packed.values())
        left.remove(place)
        window += texts[place].encode()


def test_the_chosen_set_is_less_redundant_than_the_first_ones() -> None:
    texts = [text for seed in range(20) for text in [prose(seed)] * 3]
    chosen = entropy_law_order(texts, 20, Stages(60, 60, 20))

    def packed(places: list[int]) -> int:
        return len(zlib.compress("".join(texts[place] for place in places).encode(), 9))

    assert len({texts[place] for place in chosen}) == 20
    assert packed(chosen.tolist()) > 1.5 * packed(list(range(20)))


def test_facility_location_is_near_the_full_greedy_value() -> None:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(8, 5))
    vectors = np.concatenate([centre + 0.1 * generator.normal(size=(25, 5)) for centre in centres])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = np.maximum(unit @ unit.T, 0)
    greedy: list[int] = []
    for _ in range(8):
        greedy.append(int(np.argmax([similar[:, [*greedy, j]].max(1).sum() for j in range(len(unit))])))
    value = similar[:, facility_location_order(vectors, 8)].max(1).sum()
    assert value > 0.97 * similar[:, greedy].max(1).sum()
    assert value > 1.05 * similar[:, :8].max(1).sum()


def test_relevance_draws_the_representatives() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert facility_location_order(vectors, 1, np.array([0.0, 1.0])).tolist() == [1]


def test_more_than_there_are_gives_all_and_the_impossible_is_refused() -> None:
    assert sorted(entropy_law_order(["a", "b"], 9).tolist()) == [0, 1]
    assert sorted(facility_location_order(np.eye(2), 9).tolist()) == [0, 1]
    with pytest.raises(BadDataError, match="stages"):
        entropy_law_order(["a"], 1, Stages(1, 2, 3))
    with pytest.raises(BadDataError, match="vectors"):
        facility_location_order(np.zeros((2, 2)), 1)
