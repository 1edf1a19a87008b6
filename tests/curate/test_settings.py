"""The settings: their order of strength, their sources, and a clear sentence for everything that can be wrong."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigurationError, UnknownNameError
from curate.settings import find_project_file, load_settings, relative_to_project, trace_settings
from curate.settings.fields import environment_name, list_keys, scalar_fields
from curate.templates import template_files


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for key in scalar_fields():
        monkeypatch.delenv(environment_name(key), raising=False)


@pytest.fixture
def write(tmp_path):
    def write_file(text: str) -> Path:
        file = tmp_path / "curate.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


def source_of(loaded, key):
    return next(value.source for value in loaded.values if value.key == key)


def refusal(file, **options) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        trace_settings(file, **options)
    assert caught.value.exit_code == 3
    return caught.value


WALK = """
[align]
target = "target.txt"
[[source]]
name = "web"
path = "web"
label = "kind"
attribute = "kind"
[[protocol.attribute]]
name = "topic"
question = "?"
values = ["a", "b"]
[[annotator]]
name = "words"
kind = "rule"
rules = [{ attribute = "topic", value = "a", pattern = "x" }]
[[annotator]]
name = "model"
kind = "llm"
attributes = ["topic"]
[[snapshot]]
name = "set"
order_by = "align"
label = "topic"
annotators = ["words", "web", "model"]
[[learner]]
name = "pupil"
snapshot = "set"
parameters = { heads = 4 }
"""


class TestSources:
    def source(self, write, lines: str) -> str:
        return refusal(write(f'[[source]]\nname = "s"\n{lines}')).message

    def test_a_source_has_a_path_or_a_command(self, write):
        assert "source[0].path is missing" in self.source(write, "")
        assert "has a path and a command" in self.source(write, 'path = "x"\ncommand = ["x"]\nformat = "jsonl"')
        assert "names no program" in self.source(write, 'command = ["", "x"]\nformat = "jsonl"')
        assert "no name that would tell its format" in self.source(write, 'command = ["x"]')
        assert "source[0].timeout" in self.source(write, 'command = ["x"]\nformat = "jsonl"\ntimeout = 0.0')

    @pytest.mark.parametrize(
        "address", ["s3://key:word@bucket/x", "https://host/x.jsonl?X-Amz-Signature=word", "https://host/x?sig=word"]
    )
    def test_a_sources_address_holds_no_secret(self, write, address):
        error = refusal(write(f'[[source]]\nname = "s"\npath = "{address}"'))
        assert "holds a secret" in error.message
        assert "word" not in error.message + error.hint

    def test_a_lineage_address_holds_no_secret(self, write):
        error = refusal(write('[lineage]\naddress = "http://me:word@localhost"'))
        assert "holds a secret" in error.message
        assert "word" not in error.message
        assert error.hint == "export CURATE_LINEAGE_KEY"
        assert "does not begin with http" in refusal(write('[lineage]\naddress = "localhost:5000"')).message


class TestOrder:
    def test_defaults_stand_without_a_file(self):
        loaded = trace_settings(None)
        assert loaded.settings.store == "curate-store"
        assert {value.source for value in loaded.values} == {"default"}

    def test_flag_over_environment_over_file_over_default(self, write):
        file = write('[align]\ncompressor = "from-file"\ntarget = "t"\n')
        environment = {"CURATE_ALIGN__COMPRESSOR": "from-environment", "CURATE_LEASE_TIMEOUT": "5"}
        loaded = trace_settings(file, {"align.compressor": "from-flag"}, environment)
        assert loaded.settings.align.compressor == "from-flag"
        assert loaded.settings.lease_timeout == 5.0
        assert source_of(loaded, "align.compressor") == "flag --compressor"
        assert source_of(loaded, "lease_timeout") == "environment CURATE_LEASE_TIMEOUT"
        assert source_of(loaded, "align.target") == "curate.toml"
        assert source_of(loaded, "dedup.enabled") == "default"
        without_flag = trace_settings(file, {}, environment)
        assert without_flag.settings.align.compressor == "from-environment"

    def test_the_process_environment_is_read(self, write, monkeypatch):
        monkeypatch.setenv("CURATE_DEDUP__ENABLED", "false")
        assert load_settings(write("")).dedup.enabled is False

    def test_text_from_the_environment_stays_text(self, write):
        loaded = trace_settings(write(""), environment={"CURATE_PROTOCOL__VERSION": "2"})
        assert loaded.settings.protocol.version == "2"

    def test_every_value_is_listed_once(self, write):
        keys = [value.key for value in trace_settings(write(WALK)).values]
        assert len(keys) == len(set(keys))
        assert {"source[0].name", "snapshot[0].splits.train", "learner[0].parameters.heads"} <= set(keys)

    def test_a_flags_path_is_the_working_folders(self, tmp_path, write, monkeypatch):
        file = write("")
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
        inside = load_settings(file, {"align.target": "t.txt"})
        outside = load_settings(file, {"align.target": "../../t.txt"})
        assert inside.align.target == "below/t.txt"
        assert outside.align.target == str(tmp_path.parent / "t.txt")

    def test_an_empty_path_stays_empty(self, write):
        file = write('[align]\ntarget = "t"')
        assert trace_settings(file, environment={"CURATE_ALIGN__TARGET": ""}).settings.align.target == ""


class TestShape:
    def test_a_whole_project_is_read(self, write):
        settings = load_settings(write(WALK))
        assert [annotator.kind for annotator in settings.annotator] == ["rule", "llm"]
        assert settings.learner[0].parameters == {"heads": 4}
        assert settings.snapshot[0].splits == {"train": 0.8, "validation": 0.1, "test": 0.1}

    def test_the_template_is_a_valid_project(self, tmp_path):
        file = tmp_path / "curate.toml"
        file.write_bytes(template_files()["curate.toml"])
        assert load_settings(file).source[0].name == "inbox"

    def test_a_byte_order_mark_is_no_obstacle(self, tmp_path):
        file = tmp_path / "curate.toml"
        file.write_bytes(b'\xef\xbb\xbfstore = "s"')
        assert load_settings(file).store == "s"

    def test_settings_cannot_be_changed(self, write):
        with pytest.raises(ValueError, match="frozen"):
            load_settings(write("")).store = "other"

    def test_scalar_and_list_keys_cover_all_sections(self):
        assert set(list_keys()) == {
            "source",
            "filter.score",
            "align.more",
            "ranking",
            "protocol.attribute",
            "protocol.migration",
            "annotator",
            "acquire",
            "snapshot",
            "learner",
            "adapter",
        }
        assert "schedule.cron" in scalar_fields()


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("text", "name", "nearest", "where"),
        [
            ('[align]\ntraget = "t"', "traget", "target", "[align]"),
            ('stoer = "s"', "stoer", "store", "the top of the file"),
            ('[[source]]\nname = "a"\npath = "p"\nlabl = "x"', "labl", "label", "[source[0]]"),
            ("[[annotator]]\nname='a'\nkind='llm'\nadress='x'", "adress", "address", "[annotator[0]]"),
            ("[[protocol.attribute]]\nname='a'\nquestoin='x'", "questoin", "question", "[protocol.attribute[0]]"),
            (
                "[[annotator]]\nname='a'\nkind='rule'\nrules=[{patern='x'}]",
                "patern",
                "pattern",
                "[annotator[0].rules[0]]",
            ),
        ],
    )
    def test_the_nearest_known_key_is_named(self, write, text, name, nearest, where):
        error = refusal(write(text))
        assert isinstance(error, UnknownNameError)
        assert f"unknown key {name!r} in curate.toml, {where}" in error.message
        assert nearest in error.known
        assert error.hint == f"did you mean {nearest!r}?"

    def test_an_unknown_variable_is_refused(self, write):
        error = refusal(write(""), environment={"CURATE_ALIGN__TRAGET": "t"})
        assert "CURATE_ALIGN__TRAGET" in error.message
        assert "CURATE_ALIGN__TARGET" in error.hint

    def test_a_variable_that_is_no_setting_at_all_is_somebody_elses(self, write):
        assert trace_settings(write(""), environment={"CURATE_PYTHON": "python3"}).settings.store == "curate-store"
        assert "CURATE_STORE" in refusal(write(""), environment={"CURATE_STOER": "x"}).hint

    def test_lists_of_tables_are_for_the_file_only(self, write):
        assert "[[source]]" in refusal(write(""), environment={"CURATE_SOURCE": "x"}).hint

    def test_secrets_in_the_environment_are_left_alone(self, write):
        assert trace_settings(write(""), environment={"CURATE_LLM_KEY": "x", "HOME": "/"}).settings.store

    def test_the_name_of_a_secrets_variable_is_no_secret(self, write):
        loaded = trace_settings(write(""), environment={"CURATE_LINEAGE__KEY_VARIABLE": "OTHER"})
        assert loaded.settings.lineage.key_variable == "OTHER"

    @given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12))
    def test_any_unknown_top_key_is_refused(self, name):
        file = Path("curate.toml")
        file.write_text(f'{name} = "x"\n')
        known = set(trace_settings(None, environment={}).settings.as_mapping())
        if name not in known:
            with pytest.raises(ConfigurationError, match=re.escape(name)):
                trace_settings(file, environment={})


class TestSecrets:
    @pytest.mark.parametrize("name", ["api_key", "token", "password", "client_secret", "apikey", "hub-token"])
    def test_a_secret_in_the_file_is_refused(self, write, name):
        error = refusal(write(f"[[annotator]]\nname='a'\nkind='llm'\nattributes=['x']\n{name}='hidden-value'"))
        assert f"annotator[0].{name}" in error.message
        assert "environment" in error.message
        assert "CURATE_LLM_KEY" in error.hint
        assert "hidden-value" not in error.message + error.hint

    def test_a_password_in_an_address_is_refused(self, write):
        text = WALK.replace('kind = "llm"', 'kind = "llm"\nmodel = "m"\naddress = "https://me:hidden@host/v1"')
        error = refusal(write(text))
        assert "secret" in error.message
        assert "hidden" not in error.message


class TestValues:
    @pytest.mark.parametrize(
        ("text", "key", "given_value", "expected"),
        [
            ('lease_timeout = "long"', "lease_timeout", "'long'", "a number"),
            ("lease_timeout = -1", "lease_timeout", "-1", "greater than or equal to 0"),
            ("store = 3", "store", "3", "a text"),
            ('store = ""', "store", "''", "at least 1 character"),
            ("align = 3", "align", "3", "a table"),
            ('[dedup]\nenabled = "yes"', "dedup.enabled", "'yes'", "true or false"),
            ('[source]\nname = "a"', "source", "{'name': 'a'}", "[["),
            ("[[source]]\nname='a'\npath='p'\nmodality='video'", "source[0].modality", "'video'", "'text', 'image' or"),
            ("[[source]]\nname='a/b'\npath='p'", "source[0].name", "'a/b'", "letters"),
            ("[[snapshot]]\nname='a'\nlimit=-1", "snapshot[0].limit", "-1", "greater than or equal to 0"),
            ("[[snapshot]]\nname='a'\nlimit=1.5", "snapshot[0].limit", "1.5", "a whole number"),
            ("[[snapshot]]\nname='a'\nsplits={trian=1.0}", "snapshot[0].splits.trian", "'trian'", "'train'"),
            ("[[annotator]]\nname='a'\nkind='rul'", "annotator[0].kind is", "'rul'", "'rule', 'llm'"),
            ("[[annotator]]\nname='a'\nkind='llm'\nsample='x'", "annotator[0].sample", "'x'", "a whole number"),
            ("[[source]]\nname='a'\npath='p'\nmeta=['x','x']", "source[0].meta", "['x', 'x']", "no repetition"),
        ],
    )
    def test_the_message_says_key_given_and_expected(self, write, text, key, given_value, expected):
        error = refusal(write(text))
        assert error.message.startswith("curate.toml: ")
        for part in (key, given_value, expected):
            assert part in error.message
        assert error.unchanged

    def test_a_missing_key_is_named(self, write):
        error = refusal(write('[[source]]\nname = "a"'))
        assert "source[0].path is missing" in error.message
        assert "kind is missing" in refusal(write('[[annotator]]\nname = "a"')).message

    def test_a_wrong_variable_is_blamed_and_not_the_file(self, write):
        error = refusal(write(""), environment={"CURATE_LEASE_TIMEOUT": "soon"})
        assert error.message.startswith("environment CURATE_LEASE_TIMEOUT: lease_timeout is 'soon'")

    def test_broken_toml_names_file_and_line(self, write):
        assert "curate.toml, line 2:" in refusal(write('store = "a"\nlease_timeout = = 3\n')).message

    def test_unreadable_files_are_errors(self, tmp_path):
        assert "there is no" in refusal(tmp_path / "absent.toml").message
        (tmp_path / "latin.toml").write_bytes(b'store = "\xe4"')
        assert "not UTF-8" in refusal(tmp_path / "latin.toml").message
        assert "cannot be read" in refusal(tmp_path).message

    @given(st.binary(max_size=60))
    def test_no_content_of_the_file_escapes_as_another_error(self, content):
        file = Path("curate.toml")
        file.write_bytes(content)
        with contextlib.suppress(ConfigurationError):
            trace_settings(file, environment={})


class TestContradictions:
    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("[align]", '[[source]]\nname = "web"\npath = "x"\n[align]', "two sources are named 'web'"),
            ('[[annotator]]\nname = "model"', '[[annotator]]\nname = "words"', "two annotators are named 'words'"),
            ('name = "words"', 'name = "web"', "'web' is a source with labels and an annotator"),
            ('snapshot = "set"', 'snapshot = "sett"', "unknown snapshot 'sett'"),
            ('label = "topic"', 'label = "tpoic"', "unknown label 'tpoic'"),
            ('label = "topic"', "", "learner 'pupil' needs labels"),
            ('["words", "web", "model"]', '["wrods"]', "unknown annotator 'wrods'"),
            ('label = "topic"', 'label = "topic"\nsources = ["wbe"]', "unknown source 'wbe'"),
            ('label = "topic"', 'label = "topic"\nsplits = { train = 0.5 }', "the splits sum to 0.5"),
            ('target = "target.txt"', "", "needs a target"),
            ('attributes = ["topic"]', "", "names no attributes"),
            ('attributes = ["topic"]', 'attributes = ["tpoic"]', "unknown attribute 'tpoic'"),
            ('value = "a"', 'value = "c"', "unknown value 'c'"),
            ('attribute = "topic", value', 'attribute = "x", value', "unknown attribute 'x'"),
            ('pattern = "x"', 'pattern = "("', "no regular expression"),
            ('kind = "llm"', 'kind = "llm"\naddress = "localhost:1"', "does not begin with http"),
            ('kind = "llm"', 'kind = "llm"\naddress = "http://localhost:1"', "a model must be named"),
            ('kind = "llm"', 'kind = "llm"\nmodel = "large"', "names the model 'large', and no address"),
            ('target = "target.txt"', 'target = "t"\n[dedup]\nshingles = "word:3"', "words:N or characters:N, with N"),
            ('values = ["a", "b"]', 'values = ["a", "b"]\ndescriptions = { c = "x" }', "unknown value 'c'"),
        ],
    )
    def test_contradictions_are_refused(self, write, old, new, complaint):
        text = WALK.replace(old, new)
        assert text != WALK
        assert complaint in refusal(write(text)).message

    def test_a_label_of_a_source_can_be_a_snapshots_label(self, write):
        assert load_settings(write(WALK.replace('label = "topic"', 'label = "kind"'))).snapshot[0].label == "kind"


class TestFinding:
    def test_the_nearest_file_above_is_found(self, tmp_path, write):
        file = write("")
        below = tmp_path / "a" / "b"
        below.mkdir(parents=True)
        assert find_project_file(below) == file.resolve()

    def test_no_project_hints_at_init(self, tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            find_project_file(tmp_path)
        assert caught.value.hint == "curate init"

    def test_paths_inside_the_project_become_relative(self, tmp_path):
        assert relative_to_project("x/../y.txt", tmp_path) == "y.txt"
        assert relative_to_project("/elsewhere/y.txt", tmp_path) == "/elsewhere/y.txt"


def test_a_gate_that_judges_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "curate.toml").write_text('[gate]\nannotators = ["kwx"]\n')
    with pytest.raises(UnknownNameError, match="kwx"):
        load_settings(tmp_path / "curate.toml", {})
