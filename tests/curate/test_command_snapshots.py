"""The verb `snapshot`: freezing as of a moment, the list, and the difference of two numbers."""

import json
import shutil

import pytest

from curate.settings import load_settings


@pytest.fixture(scope="module")
def frozen_twice(tmp_path_factory, call_once):
    """A project whose one snapshot was frozen twice, to be copied: an item came, one went, one changed its label."""
    folder = tmp_path_factory.mktemp("twice") / "project"
    folder.mkdir()
    settings = (
        '[[source]]\nname = "notes"\npath = "notes.jsonl"\nid = "id"\nlabel = "topic"\nattribute = "topic"\n'
        '[[snapshot]]\nname = "notes"\nlabel = "topic"\nsplits = { train = 1.0 }\n'
    )
    (folder / "curate.toml").write_text(settings)
    for topic, last in (("sea", "three"), ("land", "four")):
        notes = [("1", "one", topic), ("2", "two", "sea"), ("3", last, "sea")]
        lines = [json.dumps({"id": name, "text": text, "topic": value}) for name, text, value in notes]
        (folder / "notes.jsonl").write_text("\n".join(lines))
        for verb in ("ingest", "snapshot"):
            call_once(verb, "--project", folder)
    return folder


@pytest.fixture
def twice(frozen_twice, tmp_path, monkeypatch):
    """A copy of that project; it is the working folder."""
    monkeypatch.chdir(shutil.copytree(frozen_twice, tmp_path / "project"))


class TestDiff:
    def test_counts_for_a_person(self, call, twice):
        shown = call("snapshot", "diff", "notes", 1, 2)
        assert shown.code == 0
        counts = dict(line.split() for line in shown.out.splitlines()[1:] if "-" not in line)
        assert counts == {"came": "1", "went": "1", "relabelled": "1", "moved": "0", "unchanged": "1"}

    def test_items_for_a_program(self, call, twice):
        found = call("snapshot", "diff", "notes", "1", "2", "--json").objects
        assert sorted((row["change"], row["label_before"], row["label_after"]) for row in found) == [
            ("came", None, "sea"), ("changed", "sea", "land"), ("went", "sea", None)
        ]  # fmt: skip
        assert call("snapshot", "diff", "notes", "2", "2", "--json").objects == []

    def test_an_unknown_number(self, call, twice):
        shown = call("snapshot", "diff", "notes", 1, 3)
        assert shown.code == 2
        assert "there is no snapshot 'notes' 3: its numbers go from 1 to 2" in shown.err
        assert call("snapshot", "diff", "notes", "one", "2").code == 2


class TestList:
    def test_for_a_program_and_a_person(self, call, twice):
        found = call("snapshot", "list", "--json").objects
        assert [(row["snapshot"], row["number"], row["size"]) for row in found] == [("notes", 1, 3), ("notes", 2, 3)]
        assert call("snapshot", "list", "notes", "--json").objects == found
        assert call("snapshot", "list", "others").out == ""
        lines = call("snapshot", "list").out.splitlines()
        assert lines[0].split()[:3] == ["snapshot", "number", "size"]
        assert len([line for line in lines if line.startswith("notes")]) == 2


class TestMoments:
    def test_the_past_can_be_frozen_again(self, call, twice):
        first, _ = call("snapshot", "list", "--json").objects
        assert call("snapshot", "--dry-run", "--json").objects[0]["to_do"] == 0
        report = call("snapshot", "--as-of", first["as_of"], "--name", "notes", "--json").objects[0]
        assert report["details"]["notes 3"]["selected"] == 3
        again = call("snapshot", "list", "--json").objects[-1]
        assert (again["content_hash"], again["as_of"]) == (first["content_hash"], first["as_of"])

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--as-of", "tomorrow"], "'tomorrow' is neither a commit's number nor a time"),
            (["--as-of", "999"], "there is no commit 999"),
            (["--as-of", "1999-01-01"], "nothing had been committed yet"),
        ],
    )
    def test_a_wrong_moment_is_explained(self, call, twice, arguments, complaint):
        shown = call("snapshot", *arguments)
        assert shown.code == 2
        assert complaint in shown.err

    def test_an_unknown_name_is_explained(self, call, twice):
        shown = call("snapshot", "--name", "note")
        assert shown.code == 3
        assert "did you mean 'notes'?" in shown.err


class TestSettings:
    BEGINNING = """
[align]
target = "t"
[[protocol.attribute]]
name = "topic"
question = "?"
values = ["sea", "land"]
[[snapshot]]
name = "s"
"""

    def load(self, tmp_path, lines):
        file = tmp_path / "curate.toml"
        file.write_text(self.BEGINNING + lines)
        return load_settings(file, {}).snapshot[0]

    def test_everything_at_once(self, tmp_path):
        found = self.load(
            tmp_path,
            """
values = { topic = ["sea"] }
scores = [{ selector = "align", min = 0, max = 0.5 }, { selector = "other", max = 1.5 }]
decisions = { gate = ["keep", "none"] }
order_by = "any-selector"
budget = { characters = 1_000 }
quotas = [{ attribute = "topic", most = 3, values = { sea = 1 } }]
""",
        )
        assert found.scores[0].min == 0.0
        assert found.quotas[0].values == {"sea": 1}
        assert found.budget.characters == 1_000

    @pytest.mark.parametrize(
        ("lines", "complaint"),
        [
            ('values = { tone = ["dry"] }', "unknown attribute 'tone'"),
            ('values = { topic = ["see"] }', "unknown value 'see'"),
            ("values = { topic = [] }", "snapshot[0].values.topic"),
            ('quotas = [{ attribute = "topic" }]', "the quota of 'topic' bounds nothing"),
            ('quotas = [{ attribute = "topic", values = { air = 3 } }]', "unknown value 'air'"),
            ('quotas = [{ attribute = "topic", values = { sea = 0 } }]', "snapshot[0].quotas[0].values.sea is 0"),
            (
                'quotas = [{ attribute = "topic", most = 1 }, { attribute = "topic", most = 2 }]',
                "two quotas of 'topic'",
            ),
            ('scores = [{ selector = "align" }]', "the range of 'align' scores bounds nothing"),
            ('scores = [{ selector = "align", min = 2, max = 1 }]', "no 'align' score lies between 2.0 and 1.0"),
            ('scores = [{ selector = "align", min = nan }]', "snapshot[0].scores[0].min is nan"),
            ('decisions = { gate = ["perhaps"] }', "snapshot[0].decisions.gate[0] is 'perhaps'"),
            ("decisions = { gate = [] }", "snapshot[0].decisions.gate"),
            ('modality = "image"\nbudget = { characters = 10 }', "image has no characters to budget"),
            ("budget = { words = 10 }", "unknown key 'words'"),
            ("budget = { tokens = 10 }", "a budget of tokens needs a tokenizer"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, tmp_path, lines, complaint):
        from curate.errors import ConfigurationError

        with pytest.raises(ConfigurationError) as refused:
            self.load(tmp_path, lines)
        assert complaint in str(refused.value)
