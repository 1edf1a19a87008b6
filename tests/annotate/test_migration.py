"""What old answers say in a new version of a protocol, and which questions must be asked anew."""

from __future__ import annotations

from typing import Any

import pytest

from curate.annotate.migration import origin, readings
from curate.annotate.protocol import Protocol
from curate.errors import ConfigurationError, UnknownNameError

TOP = {"name": "top", "question": "What is worn above?", "values": ["shirt", "coat", "none"]}
SLEEVE = {
    "name": "sleeve",
    "question": "How long are the sleeves?",
    "values": ["none", "half", "long"],
    "descriptions": {"half": "to the elbow or shorter"},
}


def protocol(version: str, *attributes: dict[str, Any], **migration: Any) -> Protocol:
    given = {"name": "clothes", "version": version, "attribute": list(attributes)}
    return Protocol.from_mapping(given | ({"migration": [{"from_version": "1"} | migration]} if migration else {}))


OLD = protocol("1", TOP, SLEEVE)


def carried(new: Protocol, old: Protocol = OLD, *between: Protocol) -> dict[str, dict[str, str]]:
    """What is carried over, by the old attribute and value; the new attribute is left out."""
    found: dict[str, dict[str, str]] = {}
    for (attribute, value), (_, now) in readings(new, old, (), between).items():
        found.setdefault(attribute, {})[value] = now
    return found


def same(attribute: dict[str, Any]) -> dict[str, str]:
    return {value: value for value in attribute["values"]}


def test_what_did_not_change_is_carried_over() -> None:
    new = protocol("2", TOP, SLEEVE, {"name": "collar", "question": "A collar?", "values": ["yes", "no"]}, reworded=[])
    assert carried(new) == {"top": same(TOP), "sleeve": same(SLEEVE)}


@pytest.mark.parametrize(
    ("migration", "slip"),
    [
        ({"values": {"sleeve": {"lnog": "long"}}}, "lnog"),
        ({"attributes": {"sleve": "sleeve"}}, "sleve"),
    ],
)
def test_what_the_old_version_did_not_have_is_a_slip(migration: dict[str, Any], slip: str) -> None:
    [one] = protocol("2", TOP, SLEEVE, **migration).migrations
    with pytest.raises(UnknownNameError, match=slip):
        one.check_old(OLD)


def test_old_values_are_those_of_the_attribute_before_it_was_renamed() -> None:
    renamed = {**SLEEVE, "name": "length", "values": ["none", "half", "full"]}
    changes = {"attributes": {"sleeve": "length"}, "values": {"length": {"long": "full"}}}
    [one] = protocol("2", TOP, renamed, **changes).migrations
    one.check_old(OLD)


def test_without_a_migration_nothing_is() -> None:
    assert carried(protocol("2", TOP, SLEEVE)) == {}


def test_a_renamed_attribute_and_a_renamed_value_keep_their_answers() -> None:
    renamed = {**SLEEVE, "name": "sleeve length", "values": ["none", "half", "full"]}
    new = protocol(
        "2", TOP, renamed, attributes={"sleeve": "sleeve length"}, values={"sleeve length": {"long": "full"}}
    )
    assert readings(new, OLD)["sleeve", "long"] == ("sleeve length", "full")
    assert carried(new)["sleeve"] == {"none": "none", "half": "half", "long": "full"}


def test_merged_values_keep_their_answers() -> None:
    new = protocol("2", {**TOP, "values": ["garment", "none"]}, SLEEVE,
                   values={"top": {"shirt": "garment", "coat": "garment"}})  # fmt: skip
    assert carried(new)["top"] == {"shirt": "garment", "coat": "garment", "none": "none"}


def test_of_a_split_value_nothing_is_carried_over_and_of_the_others_everything() -> None:
    split = {**SLEEVE, "values": ["none", "short", "elbow", "long"], "descriptions": {"short": "above the elbow"}}
    new = protocol("2", TOP, split, values={"sleeve": {"half": ["short", "elbow"]}})
    assert carried(new) == {"top": same(TOP), "sleeve": {"none": "none", "long": "long"}}


def test_where_a_part_of_a_value_was_given_to_another_only_the_former_is_asked_anew() -> None:
    told = {**SLEEVE, "descriptions": {"half": "above the elbow", "long": "to the elbow or longer"}}
    old = protocol("1", TOP, {**SLEEVE, "descriptions": {"half": "to the elbow or shorter", "long": "longer"}})
    new = protocol("2", TOP, told, values={"sleeve": {"half": ["half", "long"]}})
    assert carried(new, old)["sleeve"] == {"none": "none", "long": "long"}
    other = protocol("2", TOP, {**told, "descriptions": told["descriptions"] | {"none": "bare arms"}},
                     values={"sleeve": {"half": ["half", "long"]}})  # fmt: skip
    assert carried(other, old) == {"top": same(TOP)}, "a third value has another description"


def test_what_was_split_and_lost_a_part_later_is_asked_anew() -> None:
    steps = [
        {"from_version": "1", "to_version": "2", "values": {"sleeve": {"half": ["short", "elbow"]}}},
        {"from_version": "2", "values": {"sleeve": {"elbow": []}}},
    ]
    third = {**SLEEVE, "values": ["none", "short", "long"], "descriptions": {}}
    new = Protocol.from_mapping({"name": "clothes", "version": "3", "attribute": [TOP, third], "migration": steps})
    assert carried(new)["sleeve"] == {"none": "none", "long": "long"}


def test_a_value_that_was_taken_away_is_asked_anew() -> None:
    new = protocol("2", {**TOP, "values": ["shirt", "coat"]}, SLEEVE, values={"top": {"none": []}})
    assert carried(new)["top"] == {"shirt": "shirt", "coat": "coat"}


@pytest.mark.parametrize(
    "changed",
    [
        {"values": ["shirt", "coat", "none", "tunic"]},
        {"question": "What covers the upper body?"},
        {"descriptions": {"coat": "anything with buttons"}},
    ],
)
def test_a_new_value_another_question_or_description_carries_nothing_over(changed: dict[str, Any]) -> None:
    new = protocol("2", {**TOP, **changed}, SLEEVE, values={"top": {}})
    assert carried(new) == {"sleeve": same(SLEEVE)}


def test_other_words_for_the_same_question_may_be_called_so() -> None:
    new = protocol("2", {**TOP, "question": "What covers the upper body?"}, SLEEVE, reworded=["top"])
    assert carried(new)["top"] == same(TOP)


def test_migrations_follow_each_other() -> None:
    values = ["none", "half", "full"]
    steps = [
        {"from_version": "1", "to_version": "2", "values": {"sleeve": {"long": "longer"}}},
        {"from_version": "2", "values": {"length": {"longer": "full"}}, "attributes": {"sleeve": "length"}},
    ]
    third = {"name": "length", "question": SLEEVE["question"], "values": values, "descriptions": SLEEVE["descriptions"]}
    new = Protocol.from_mapping({"name": "clothes", "version": "3", "attribute": [TOP, third], "migration": steps})
    assert readings(new, OLD)["sleeve", "long"] == ("length", "full")
    assert origin(new, "length", "full") == ("sleeve", "long")
    assert origin(new, "top", "coat") == ("top", "coat")


def versions(*tops: dict[str, Any], **changes: Any) -> list[Protocol]:
    """Versions of which the second came of the first by these changes, and the others one from another by none."""
    found = [protocol("1", tops[0])]
    steps: list[dict[str, Any]] = []
    for number, top in enumerate(tops[1:], 2):
        steps = [*steps, {"from_version": str(number - 1), "to_version": str(number)} | ({} if steps else changes)]
        given = {"name": "clothes", "version": str(number), "attribute": [top], "migration": steps}
        found.append(Protocol.from_mapping(given))
    return found


def test_what_a_version_between_would_not_carry_over_is_not() -> None:
    merged = {**TOP, "values": ["garment", "none"], "descriptions": {"garment": "a shirt or a coat"}}
    redefined = {**merged, "descriptions": {"garment": "whatever is worn"}}
    one, two, three = versions(TOP, merged, redefined, values={"top": {"shirt": "garment", "coat": "garment"}})
    assert carried(two, one) == {"top": {"shirt": "garment", "coat": "garment", "none": "none"}}
    assert carried(three, two) == {}
    assert carried(three, one, two) == {}, "garment means something else since"


def test_an_attribute_that_is_again_what_it_was_keeps_its_answers() -> None:
    one, two, three = versions(TOP, {**TOP, "question": "What covers the upper body?"}, TOP)
    assert carried(two, one) == {}
    assert carried(three, one, two) == {"top": same(TOP)}


@pytest.mark.parametrize(
    ("migration", "error", "message"),
    [
        ({"from_version": ""}, ConfigurationError, "lacks the version that it comes from"),
        ({"values": {"top": {"none": "nothing"}}}, UnknownNameError, "unknown value 'nothing'"),
        ({"values": {"tip": {}}}, UnknownNameError, "unknown attribute 'tip'"),
        ({"attributes": {"sleeve": "sleves"}}, UnknownNameError, "unknown attribute 'sleves'"),
        ({"values": {"top": {"none": 3}}}, ConfigurationError, "must become a value or a list of values"),
        ({"renamed": {}}, UnknownNameError, "unknown key 'renamed'"),
        ({"to_version": "7"}, ConfigurationError, "the migration to version '7' leads no further"),
        ({"from_version": "2"}, ConfigurationError, "two ways lead from version '2'"),
    ],
)
def test_a_migration_that_leads_nowhere_is_refused(
    migration: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        protocol("2", TOP, SLEEVE, **migration)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"hat": ["cap"]}, "unknown attribute 'hat'"),
        ({"top": ["cape"]}, "unknown value 'cape'"),
        ({"sleeve": ["long"]}, "which is asked later"),
        ({"top": []}, "when names no value"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(when: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        protocol("1", TOP, {**SLEEVE, "when": when})


def test_a_condition_is_part_of_the_definition_only_where_there_is_one() -> None:
    assert protocol("1", TOP, {**SLEEVE, "when": {}}).definition() == OLD.definition()
    conditional = protocol("1", TOP, {**SLEEVE, "when": {"top": ["shirt", "coat"]}})
    assert conditional.definition() != OLD.definition()
    assert conditional.attribute("sleeve").when == {"top": ("shirt", "coat")}
