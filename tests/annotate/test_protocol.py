import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.annotate.protocol import Attribute, Protocol
from curate.errors import ConfigurationError, UnknownNameError

NAMES = st.text(min_size=1).filter(str.strip)
ATTRIBUTES = st.builds(
    Attribute, NAMES, NAMES, st.lists(NAMES, min_size=2, max_size=5, unique=True).map(tuple), st.just({})
)
PROTOCOLS = st.builds(
    Protocol, NAMES, NAMES, st.lists(ATTRIBUTES, min_size=1, max_size=3, unique_by=lambda one: one.name).map(tuple)
)


def test_from_mapping_keeps_everything_in_order(protocol: Protocol) -> None:
    assert [attribute.name for attribute in protocol.attributes] == ["kind", "tone"]
    assert protocol.attribute("kind").values == ("python", "c", "english")
    assert protocol.attribute("kind").descriptions["english"] == "plain English"


@given(PROTOCOLS)
def test_a_definition_can_be_read_back(protocol: Protocol) -> None:
    again = Protocol.from_mapping(json.loads(protocol.definition()))
    assert again == protocol
    assert again.content_hash == protocol.content_hash


def test_the_order_of_descriptions_does_not_change_the_hash(
    protocol: Protocol, protocol_data: Mapping[str, Any]
) -> None:
    data = deepcopy(protocol_data)
    data["attribute"][0]["descriptions"] = dict(reversed(data["attribute"][0]["descriptions"].items()))
    assert Protocol.from_mapping(data).content_hash == protocol.content_hash


@pytest.mark.parametrize(
    ("place", "value"),
    [("question", "What is it?"), ("values", ["c", "python", "english"]), ("descriptions", {"c": "source code in C"})],
)
def test_whatever_an_annotator_sees_changes_the_hash(
    protocol: Protocol, protocol_data: Mapping[str, Any], place: str, value: object
) -> None:
    data = deepcopy(protocol_data)
    data["attribute"][0][place] = value
    assert Protocol.from_mapping(data).content_hash != protocol.content_hash


def test_an_unknown_attribute_is_named_with_the_nearest(protocol: Protocol) -> None:
    with pytest.raises(
        UnknownNameError, match="unknown attribute 'knd' in protocol 'demo'; known: kind, tone"
    ) as caught:
        protocol.attribute("knd")
    assert caught.value.hint == "did you mean 'kind'?"


def test_chosen_attributes_come_in_the_order_of_the_choice(protocol: Protocol) -> None:
    assert [attribute.name for attribute in protocol.chosen(["tone", "kind"])] == ["tone", "kind"]
    assert protocol.chosen(()) == protocol.attributes
    with pytest.raises(ConfigurationError, match="'tone' twice"):
        protocol.chosen(["tone", "tone"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": []}, "'kind' has 0 values"),
        ({"values": ["python"]}, "'kind' has 1 values"),
        ({"values": ["python", "python"]}, "names the value 'python' twice"),
        ({"values": ["python", " "]}, "'kind' has an empty value"),
        ({"values": "python, c"}, "must be a list of texts, not 'python, c'"),
        ({"values": [1, 2]}, "must be a list of texts"),
        ({"values": None}, "'values' is missing"),
        ({"question": None}, "'question' is missing"),
        ({"question": 3}, "'question' must be text, not 3"),
        ({"name": " "}, "needs a name and a question"),
        ({"descriptions": "code"}, "descriptions must be a table"),
        ({"descriptions": {"python": 3}}, "'python' must be text, not 3"),
        ({"descriptions": {"pyton": "code"}}, "unknown value 'pyton' in attribute 'kind'"),
        ({"valeus": ["a", "b"]}, "unknown key 'valeus' in attribute 'kind'"),
    ],
)
def test_an_attribute_that_cannot_be_is_refused(
    protocol_data: Mapping[str, Any], change: dict[str, object], message: str
) -> None:
    data = deepcopy(protocol_data)
    data["attribute"][0] |= {"descriptions": {}} | change
    with pytest.raises(ConfigurationError, match=message):
        Protocol.from_mapping(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attribute": []}, "has no attributes"),
        ({"attribute": {"name": "kind"}}, "must be a list of tables"),
        ({"attribute": ["kind"]}, "must be a list of tables"),
        ({"version": 1}, "'version' must be text, not 1"),
        ({"version": ""}, "needs a name and a version"),
        ({"atribute": []}, "unknown key 'atribute' in the protocol"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(
    protocol_data: Mapping[str, Any], change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Protocol.from_mapping({**protocol_data, **change})


def test_an_unknown_key_brings_a_suggestion(protocol_data: Mapping[str, Any]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Protocol.from_mapping({**protocol_data, "atribute": []})
    assert caught.value.hint == "did you mean 'attribute'?"


def test_two_attributes_of_one_name_are_refused(protocol_data: Mapping[str, Any]) -> None:
    attributes = [protocol_data["attribute"][0]] * 2
    with pytest.raises(ConfigurationError, match="names the attribute 'kind' twice"):
        Protocol.from_mapping({**protocol_data, "attribute": attributes})
