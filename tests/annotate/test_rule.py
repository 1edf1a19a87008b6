import os

import pyarrow as pa
import pytest

from curate.annotate.checks import check_annotator
from curate.annotate.protocol import Protocol
from curate.annotate.rule import FunctionRule, PatternRule, RuleAnnotator, rule_from_mapping
from curate.errors import ConfigurationError, UnknownNameError
from curate.types import Claim

PYTHON = PatternRule("kind", "python", r"(?m)^def \w+")
C = PatternRule("kind", "c", r"#include|printf|\bint main\b")
ENGLISH = PatternRule("kind", "english", r"\w+ \w+ \w+")


def shouts(text: str) -> str | None:
    """Say "lively" where the text shouts."""
    return "lively" if "!" in text else None


def stumbles(text: str) -> str | None:
    return "dry" if 1 / len(text.split("cold")[1:]) else None


def invents(text: str) -> str | None:
    return "sad"


def one(text: str) -> pa.Table:
    return pa.table({"item_id": ["item"], "text": [text]})


def test_it_keeps_the_promises_of_annotators(protocol: Protocol, items: pa.Table) -> None:
    rules = [PYTHON, C, ENGLISH, FunctionRule("tone", shouts), FunctionRule("tone", stumbles)]
    said = check_annotator(RuleAnnotator("rules", protocol, rules), items, protocol)
    assert [(claim.item_id, claim.value) for claim in said.claims] == [("item-3", "english"), ("item-3", "dry")]


def test_most_rules_win_and_the_confidence_is_their_share(protocol: Protocol) -> None:
    annotator = RuleAnnotator("rules", protocol, [C, PatternRule("kind", "c", ";"), ENGLISH])
    claims = annotator.annotate(one("int main(void) { say all the words; }")).claims
    assert claims == [Claim("item", "kind", "c", pytest.approx(2 / 3))]


def test_a_tie_is_an_abstention(protocol: Protocol) -> None:
    said = RuleAnnotator("rules", protocol, [C, ENGLISH]).annotate(one("int main of the house"))
    assert (list(said.claims), list(said.failures)) == ([], [])


def test_the_first_rule_may_win_instead(protocol: Protocol) -> None:
    annotator = RuleAnnotator(
        "rules", protocol, [C, ENGLISH, PatternRule("kind", "english", "house")], conflicts="first"
    )
    claims = annotator.annotate(one("int main of the house")).claims
    assert claims == [Claim("item", "kind", "c", pytest.approx(1 / 3))]


def test_claims_follow_the_protocols_order_of_attributes(protocol: Protocol) -> None:
    claims = RuleAnnotator("rules", protocol, [FunctionRule("tone", shouts), C]).annotate(one("#include me!")).claims
    assert [claim.attribute for claim in claims] == ["kind", "tone"]


def test_a_table_without_texts_is_abstained_on(protocol: Protocol) -> None:
    said = RuleAnnotator("rules", protocol, [C]).annotate(pa.table({"item_id": ["an image"], "image": [b"\x89PNG"]}))
    assert not said.claims
    assert not said.failures


def test_a_function_that_raises_costs_its_item_only(protocol: Protocol) -> None:
    annotator = RuleAnnotator("rules", protocol, [ENGLISH, FunctionRule("tone", stumbles)])
    batch = pa.table({"item_id": ["bad", "good"], "text": ["a warm bright day", "a cold bright day"]})
    said = annotator.annotate(batch)
    assert {claim.item_id for claim in said.claims} == {"good"}
    assert [failure.item_id for failure in said.failures] == ["bad"]
    assert said.failures[0].reason == "the rule stumbles raised ZeroDivisionError: division by zero"


def test_a_function_that_answers_outside_the_protocol_is_a_failure(protocol: Protocol) -> None:
    said = RuleAnnotator("rules", protocol, [FunctionRule("tone", invents)]).annotate(one("text"))
    assert said.failures[0].reason == "the rule invents answered 'sad', no value of 'tone'"


def test_a_function_may_be_named_by_its_entry(protocol: Protocol) -> None:
    annotator = RuleAnnotator("rules", protocol, [FunctionRule("tone", "textwrap:dedent")])
    assert annotator.annotate(one("dry")).claims == [Claim("item", "tone", "dry", 1.0)]


@pytest.mark.parametrize("entry", ["no_such_module:f", "os.path:no_such_function", "os.path", "", "os:curdir"])
def test_an_entry_that_leads_nowhere_is_refused(entry: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the rule '{entry}' leads to"):
        FunctionRule("tone", entry)


def test_a_function_without_source_needs_a_version() -> None:
    with pytest.raises(ConfigurationError, match="source text of the rule fspath cannot be found") as caught:
        FunctionRule("tone", os.fspath)
    assert caught.value.hint == "give the FunctionRule a version"
    assert FunctionRule("tone", os.fspath, version="1").version == "1"


def test_a_bad_pattern_is_named(protocol: Protocol) -> None:
    with pytest.raises(
        ConfigurationError, match=r"the pattern '\(' for kind = 'c' is no regular expression: missing \)"
    ):
        PatternRule("kind", "c", "(")


def test_rules_outside_the_protocol_are_refused(protocol: Protocol) -> None:
    with pytest.raises(UnknownNameError, match="unknown attribute 'sort'"):
        RuleAnnotator("rules", protocol, [PatternRule("sort", "c", ";")])
    with pytest.raises(UnknownNameError, match="unknown value 'java'"):
        RuleAnnotator("rules", protocol, [PatternRule("kind", "java", ";")])
    with pytest.raises(ConfigurationError, match="has no rules"):
        RuleAnnotator("rules", protocol, [])
    with pytest.raises(UnknownNameError, match="unknown way with conflicts 'last'"):
        RuleAnnotator("rules", protocol, [C], conflicts="last")  # type: ignore[arg-type]


def test_whatever_changes_the_claims_changes_the_version(protocol: Protocol) -> None:
    annotators = [
        RuleAnnotator("rules", protocol, [C, ENGLISH]),
        RuleAnnotator("rules", protocol, [ENGLISH, C]),
        RuleAnnotator("rules", protocol, [C, ENGLISH], conflicts="first"),
        RuleAnnotator("rules", protocol, [C, PatternRule("kind", "english", r"\w+ \w+")]),
        RuleAnnotator("rules", protocol, [C, FunctionRule("tone", shouts)]),
        RuleAnnotator("rules", protocol, [C, FunctionRule("tone", invents)]),
        RuleAnnotator("rules", protocol, [C, FunctionRule("tone", invents, version="2")]),
    ]
    assert len({annotator.version for annotator in annotators}) == len(annotators)
    assert RuleAnnotator("other", protocol, [C, ENGLISH]).version == annotators[0].version


def test_rules_come_from_plain_data() -> None:
    data = {"attribute": "kind", "value": "c", "pattern": ";"}
    assert rule_from_mapping(data) == PatternRule("kind", "c", ";")
    entry = {"attribute": "tone", "function": "textwrap:dedent", "version": "1"}
    assert rule_from_mapping(entry) == FunctionRule("tone", "textwrap:dedent", "1")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"attribute": "kind", "value": "c"}, "a rule lacks pattern"),
        ({"attribute": "kind", "value": "c", "patern": ";"}, "unknown key 'patern' in a rule"),
        ({"attribute": "kind", "value": 3, "pattern": ";"}, "a rule's 'value' must be text, not 3"),
        ({"attribute": "kind", "function": "a:b", "pattern": ";"}, "unknown key 'pattern' in a rule"),
    ],
)
def test_plain_data_that_is_no_rule_is_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        rule_from_mapping(data)
