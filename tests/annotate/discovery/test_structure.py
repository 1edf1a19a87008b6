"""Structures: names that can be told apart, a file that a person edits, and what an edit keeps."""

import pytest

from curate.annotate.discovery.structure import Dimension, Structure, translation
from curate.annotate.discovery.structure_file import read_structure, write_structure
from curate.errors import ConfigurationError

PLACE = Dimension("place", ("sea", "shore", "hill"), description="Where?", classes=("cat",))
STRUCTURE = Structure(
    "hidden",
    "animal",
    (
        PLACE,
        Dimension(
            "time of day", ("day", 'a "night"'), locked=True, pinned=True, was=("hour",), merged={"day": ("noon",)}
        ),
    ),
)


def test_a_file_says_all_of_a_structure() -> None:
    assert read_structure(write_structure(STRUCTURE)) == STRUCTURE
    assert Structure.from_mapping(STRUCTURE.as_mapping()) == STRUCTURE


def test_the_version_changes_with_what_is_asked_and_not_with_locks() -> None:
    unlocked = Dimension("time of day", ("day", 'a "night"'))
    assert Structure("hidden", "animal", (PLACE, unlocked)).version == STRUCTURE.version
    assert Structure("hidden", "animal", (PLACE,)).version != STRUCTURE.version


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "no TOML"),
        ("nmae = 'x'", "unknown key 'nmae'"),
        ("[[dimension]]\nattributes = ['a']", "lacks its name"),
        ("[[dimension]]\nname = 'place'\nattributes = 'sea'", "list of texts"),
        ("[[dimension]]\nname = 'place'\nlocked = 'yes'", "true or false"),
        ("[[dimension]]\nname = 'place'\nattributes = ['Sea', 'sea']", "twice"),
        ("[[dimension]]\nname = 'place'\nattributes = ['unknown']", "no attribute"),
        ("[[dimension]]\nname = 'unacceptable criteria'", "no name"),
        ("[[dimension]]\nname = 'place'\n[[dimension]]\nname = 'Place'", "twice"),
        ("[[dimension]]\nname = 'place'\nattributes = ['sea']\nmerged = { lake = ['pond'] }", "none of its attributes"),
        ("dimension = 3", r"\[\[dimension\]\]"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        read_structure(text)


def test_renaming_and_merging_keep_what_is_assigned() -> None:
    site = Dimension("site", ("coast", "hill"), was=("place",), merged={"coast": ("sea", "shore")}, classes=("cat",))
    assert translation(PLACE, site) == {"sea": "coast", "shore": "coast", "hill": "hill"}


def test_an_attribute_that_is_gone_leaves_its_items_to_be_asked_about() -> None:
    fewer = Dimension("place", ("sea", "shore"), classes=("cat",))
    assert translation(PLACE, fewer) == {"sea": "sea", "shore": "shore"}


def test_a_new_attribute_or_another_dimension_must_be_asked_about() -> None:
    assert translation(PLACE, Dimension("place", ("sea", "shore", "hill", "cave"), classes=("cat",))) is None
    assert translation(PLACE, Dimension("site", PLACE.attributes, classes=("cat",))) is None
    assert translation(PLACE, Dimension("place", PLACE.attributes)) is None


def test_a_subpopulation_is_named_by_its_own_dimensions() -> None:
    assert STRUCTURE.subpopulation("cat", {"place": "sea", "time of day": "day"}) == "cat · sea · day"
    assert STRUCTURE.subpopulation("dog", {"time of day": "day"}) == "dog · day"


def test_in_the_store_a_structure_is_a_protocol() -> None:
    protocol = STRUCTURE.protocol()
    assert protocol.attribute("hidden.place").values == PLACE.attributes
    assert protocol.version == STRUCTURE.version
