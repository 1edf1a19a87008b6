"""Help: quick because lazy, complete for every verb, with the text in one place."""

import re
import subprocess
import sys

import click
import pytest

from curate import __version__
from curate.cli.application import VERBS, application
from curate.cli.verb import EXIT_CODES, Verb

FORBIDDEN = {
    "pydantic", "rich", "duckdb", "pyarrow", "numpy", "torch", "prefect", "sklearn", "httpx", "xllamacpp", "PIL",
    "jinja2", "lz4", "tomllib", "asyncio",
}  # fmt: skip
OWN = {
    "curate", "curate.__main__", "curate.cli", "curate.cli.application", "curate.cli.failure", "curate.cli.invocation",
    "curate.cli.output", "curate.cli.verb", "curate.errors",
}  # fmt: skip


def modules_after(*arguments: str) -> set[str]:
    """The modules that a call of the command has loaded."""
    code = (
        "import sys\nfrom curate.cli import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(ended.stderr.splitlines()[-1].split())


def verb_named(name: str) -> Verb:
    command = application.get_command(click.Context(application), name)
    assert isinstance(command, Verb)
    return command


class TestBudget:
    @pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["ingest", "--help"]])
    def test_help_loads_nothing_heavy(self, arguments):
        loaded = modules_after(*arguments)
        assert not {name for name in loaded if name.split(".")[0] in FORBIDDEN}

    def test_help_loads_no_verb_and_few_modules(self):
        loaded = modules_after("--help")
        bare = modules_after_nothing()
        assert {name for name in loaded if name.split(".")[0] == "curate"} <= OWN
        assert len(loaded - bare) < 130, "the budget of 0.25 s holds at about 100 modules; see design.md"

    def test_status_needs_no_database(self, project):
        loaded = modules_after("status")
        heavy = {"duckdb", "pyarrow", "numpy", "torch", "prefect", "rich"}
        assert not {name for name in loaded if name.split(".")[0] in heavy}


def modules_after_nothing() -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(ended.stdout.split())


class TestHelp:
    def test_every_verb_is_listed_with_completion_and_version(self, call):
        shown = call("--help")
        assert shown.code == 0
        for name in VERBS:
            assert re.search(rf"^  {name} ", shown.out, re.MULTILINE)
        assert "_CURATE_COMPLETE=bash_source" in shown.out
        assert call() == shown
        assert call("--version").out == f"curate {__version__}\n"

    @pytest.mark.parametrize("name", VERBS)
    def test_every_verb_has_purpose_examples_and_exit_codes(self, call, name):
        verb = verb_named(name)
        assert (verb.help or "").splitlines()[0] == VERBS[name][1]
        assert verb.examples
        assert all(f"curate {name}" in example for example in verb.examples)
        shown = call(name, "--help").out
        assert all(example in shown for example in verb.examples)
        assert all(re.search(rf"^  {code} +{re.escape(EXIT_CODES[code][:30])}", shown, re.M) for code in verb.exits)
        assert {0, 1, 2, 3, 130} <= set(verb.exits)

    def test_completion_offers_the_verbs(self, command):
        options = command()
        options["env"] |= {"_CURATE_COMPLETE": "bash_complete", "COMP_WORDS": "curate s", "COMP_CWORD": "1"}
        ended = subprocess.run(**options, capture_output=True, check=False)
        assert set(ended.stdout.split()) == {f"plain,{name}" for name in VERBS if name.startswith("s")}

    @pytest.mark.parametrize("name", VERBS)
    def test_every_option_has_a_help_text(self, name):
        options = [parameter for parameter in verb_named(name).params if isinstance(parameter, click.Option)]
        assert [option.name for option in options if not option.help] == []

    @pytest.mark.parametrize(
        "name",
        ["ingest", "dedup", "filter", "align", "annotate", "snapshot", "export", "learn", "train", "report", "run"],
    )
    def test_every_writing_verb_plans(self, name):
        assert "dry_run" in {parameter.name for parameter in verb_named(name).params}

    def test_the_choices_are_those_of_the_settings(self):
        from typing import get_args

        from curate.settings.models import Format
        from curate.types import MODALITIES

        choices = {parameter.name: parameter.type for parameter in verb_named("ingest").params}
        assert tuple(choices["format"].choices) == get_args(Format)
        assert tuple(choices["modality"].choices) == MODALITIES
