"""The examples in the guide to the protocol are true."""

import re
import tomllib
from pathlib import Path

import pytest

from curate.annotate.migration import readings
from curate.annotate.protocol import Protocol
from curate.settings import load_settings


@pytest.fixture
def guide(repository: Path) -> str:
    return (repository / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_the_table_of_old_answers_is_what_the_migration_does(guide: str) -> None:
    old, new = (Protocol.from_mapping(tomllib.loads(text)["protocol"]) for text in examples(guide))
    rows = re.findall(r"^\| (\S+): (\S+) \| (?:(.+): (\S+))? ?\| (yes|no) \|$", guide, re.MULTILINE)
    said = {(attribute, value): (name, now) for attribute, value, name, now, again in rows if again == "no"}
    assert len(rows) == sum(len(attribute.values) for attribute in old.attributes)
    assert readings(new, old) == said
    assert {one[4] for one in rows if (one[0], one[1]) not in said} == {"yes"}


def test_the_examples_are_settings(guide: str, tmp_path: Path) -> None:
    for text in examples(guide):
        (tmp_path / "curate.toml").write_text(text, encoding="utf-8")
        settings = load_settings(tmp_path / "curate.toml", {})
        assert Protocol.from_mapping(settings.protocol.model_dump(mode="json")).name == "clothes"


def test_the_example_of_rules_answers_the_protocol(guide: str, tmp_path: Path) -> None:
    [rules] = (text for text in blocks(guide) if text.startswith("[[annotator]]"))
    (tmp_path / "curate.toml").write_text(examples(guide)[0] + rules, encoding="utf-8")
    settings = load_settings(tmp_path / "curate.toml", {})
    assert [one.name for one in settings.annotator] == ["keywords"]


def examples(guide: str) -> list[str]:
    found = [text for text in blocks(guide) if text.startswith("[protocol]")]
    assert len(found) == 2
    return found


def blocks(guide: str) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
