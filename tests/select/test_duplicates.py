import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import BadDataError
from curate.select.duplicates import group, normalized, signatures

# The A with ring comes composed, decomposed and as the unit sign; U+FB01 is a ligature of fi, U+017F a long s.
SAME = ["\u00c5ngström \ufb01les", "A\u030angstro\u0308m  files", "\u212bngström\tfile\u017f", " ångström\nFILES "]


def test_case_space_and_unicode_forms_do_not_matter() -> None:
    assert normalized(SAME[0]) == "ångström files"
    assert len(set(signatures(SAME))) == 1


def test_words_and_digits_matter() -> None:
    assert len(set(signatures(["a b", "ab", "a c", "a b 1", ""]))) == 5


def test_null_has_no_signature() -> None:
    assert signatures([None, "x"])[0] is None


def test_lone_surrogates_have_a_signature() -> None:
    assert signatures(["\udc80"]) != signatures(["\udc81"])


def test_normalizing_every_character_twice_changes_nothing() -> None:
    once = [normalized(f"a{chr(point)}b") for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    assert [text for text in once if normalized(text) != text] == []


@given(st.text())
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)


rows = st.lists(
    st.tuples(st.sampled_from("stuv"), st.integers(0, 60).map("{:02}".format)), unique_by=lambda row: row[1]
)


@given(rows=rows, data=st.data())
def test_representatives_do_not_depend_on_the_order_of_arrival(
    rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    known: dict[str, str] = {}
    resolved: dict[str, str] = {}
    for batch in (shuffled[:cut], shuffled[cut:]):
        groups = group([signature for signature, _ in batch], [item for _, item in batch], known)
        known.update(groups.representatives)
        moved = {row["before"]: row["after"] for row in groups.changed.to_pylist()}
        resolved = {item: moved.get(head, head) for item, head in resolved.items()}
        resolved.update((row["item_id"], row["duplicate_of"]) for row in groups.duplicates.to_pylist())
    smallest = {signature: min(item for other, item in rows if other == signature) for signature, _ in rows}
    assert known == smallest
    assert resolved == {item: smallest[signature] for signature, item in rows if item != smallest[signature]}


def test_a_known_representative_that_loses_its_place_is_a_duplicate() -> None:
    groups = group(["s", "s"], ["b", "d"], known={"s": "c", "other": "a"})
    assert groups.duplicates.to_pylist() == [
        {"item_id": "c", "duplicate_of": "b"},
        {"item_id": "d", "duplicate_of": "b"},
    ]
    assert groups.changed.to_pylist() == [{"signature": "s", "before": "c", "after": "b"}]
    assert groups.representatives == {"s": "b"}


def test_nothing_to_group_gives_typed_empty_tables() -> None:
    groups = group([None, None, "s"], ["a", "b", "c"])
    assert groups.duplicates.num_rows == groups.changed.num_rows == 0
    assert groups.duplicates.schema.names == ["item_id", "duplicate_of"]
    assert str(groups.changed.schema.field("after").type) == "string"


def test_the_same_item_twice_is_no_duplicate() -> None:
    assert group(["s", "s"], ["a", "a"]).duplicates.num_rows == 0


def test_sequences_of_unequal_length_are_refused() -> None:
    with pytest.raises(BadDataError):
        group(["s"], [])
