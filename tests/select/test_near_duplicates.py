import random

from curate.select.minhash import MinHash
from curate.select.near_duplicates import near_duplicates
from curate.select.shingles import Shingling


def planted(seed: int, count: int = 300) -> list[str]:
    """Texts of 100 words, and after each one of them with 0 to 15 other words."""
    chance = random.Random(seed)
    found: list[str] = []
    for _ in range(count):
        words = chance.choices([f"w{number}" for number in range(3_000)], k=100)
        places = set(chance.sample(range(100), chance.randint(0, 15)))
        found += [" ".join(words), " ".join("x" if place in places else word for place, word in enumerate(words))]
    return found


def runs(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[place : place + 3]) for place in range(len(words) - 2)}


def test_planted_pairs_are_found_with_their_exact_similarity() -> None:
    texts = planted(1)
    sets = [runs(text) for text in texts]
    true = {}
    for place in range(0, len(texts), 2):
        similarity = len(sets[place] & sets[place + 1]) / len(sets[place] | sets[place + 1])
        if similarity >= 0.8:
            true[place, place + 1] = similarity
    found = {(row["first"], row["second"]): row["similarity"] for row in near_duplicates(texts).to_pylist()}
    assert found.items() <= true.items()
    assert len(found) >= 0.98 * len(true)


def test_of_a_group_come_as_many_pairs_as_connect_it() -> None:
    found = near_duplicates([f"{' '.join(planted(2, 1)[0].split())} {number}" for number in range(20)])
    assert found.num_rows == 19


def test_the_method_can_be_chosen() -> None:
    texts = ["good morning sunshine", "good morning sunshina"]
    assert near_duplicates(texts).num_rows == 0
    assert near_duplicates(texts, MinHash(0.7, Shingling.parse("characters:3"))).num_rows == 1


def test_nothing_has_no_pairs() -> None:
    assert near_duplicates([]).num_rows == near_duplicates(["", ""]).num_rows == 0
