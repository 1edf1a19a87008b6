"""The verbs over a real store: a new project's first walk, its second, ingestion of a path, a look at the result."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from curate.cli.invocation import Invocation
from curate.cli.reports import narrate_next
from curate.flows.steps import STEPS
from curate.types import StepReport

STEP_NAMES = [step.name for step in STEPS]


class TestInit:
    def test_the_files_are_written_and_never_overwritten(self, call, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = call("init", "new")
        assert result.code == 0
        assert result.out.split() == ["new/curate.toml", "new/inbox/notes.jsonl", "new/target.txt"]
        assert "curate run" in result.err
        (tmp_path / "new" / "curate.toml").write_text("# mine\n")
        again = call("init", "new")
        assert again.code == 2
        assert "unchanged: nothing was written" in again.err
        assert (tmp_path / "new" / "curate.toml").read_text() == "# mine\n"

    def test_a_dry_run_writes_nothing(self, call, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for verb in (["init"], ["demo"]):
            planned = call(*verb, "--dry-run")
            assert planned.code == 0
            assert "nothing was written" in planned.err
            assert list(tmp_path.iterdir()) == []
        assert call("demo", "--dry-run", "--json").objects[0]["increments left"] == 5

    def test_the_working_folder_is_the_default(self, call, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert call("init", "--json").objects == [
            {"folder": str(tmp_path), "files": ["curate.toml", "inbox/notes.jsonl", "target.txt"]}
        ]


class TestRun:
    def test_the_example_runs_and_a_second_run_says_that_there_is_nothing_to_do(self, call, project):
        first = call("run")
        assert first.code == 0
        assert "steps had work: 0 rejected, 0 failed" in first.out
        assert "ingest: 25 done" in first.err
        assert "snapshot: 1 done" in first.err
        assert "learn: " in first.err
        second = call("run")
        assert second.code == 0
        assert second.out == f"nothing to do: {len(STEP_NAMES)} steps looked, and nothing is new\n"

    def test_one_more_file_is_one_more_item_and_quiet_keeps_the_data(self, call, walked):
        (walked / "inbox" / "more.txt").write_text("Grease the chain.")
        result = call("--quiet", "run", "--json")
        assert result.err == ""
        reports = {report["step"]: report for report in result.objects}
        assert list(reports) == STEP_NAMES
        assert reports["ingest"]["done"] == 1
        assert reports["align"]["done"] == 1

    def test_rejected_rows_mean_partly_done_once(self, call, walked):
        (walked / "inbox" / "broken.jsonl").write_text('{"text": "whole"}\n{"text": \n')
        result = call("run")
        assert result.code == 7
        assert "1 rejected" in result.out
        assert "next: curate sql 'FROM rejects'" in result.err
        assert call("run").code == 0

    @pytest.mark.parametrize(
        ("figures", "expected"),
        [
            ({"failed": 2}, "next: curate sql 'FROM failures'\n"),
            ({"failed": 2, "unreached": 2}, "next: run again when what could not be reached is there\n"),
            ({"rejected": 1, "failed": 2, "unreached": 1},
             "next: curate sql 'FROM rejects' and curate sql 'FROM failures' and run again when what could not be "
             "reached is there\n"),
            ({"done": 1}, ""),
        ],
    )  # fmt: skip
    def test_it_says_where_to_look_next(self, capsys, figures, expected):
        narrate_next(Invocation(), [StepReport("annotate", **figures)])
        assert capsys.readouterr().err == expected

    def test_a_dry_run_prints_plans_and_writes_nothing(self, call, project):
        result = call("run", "--dry-run", "--json")
        assert [plan["step"] for plan in result.objects] == STEP_NAMES
        assert result.objects[0]["to_do"] == 1
        shown = call("run", "--dry-run")
        assert shown.out.splitlines()[0].split("  ")[0] == "step"
        assert "nothing was written\neach step counts what is there now" in shown.err
        assert sorted(path.name for path in project.iterdir()) == ["curate.toml", "inbox", "target.txt"]

    def test_a_process_loads_neither_prefect_nor_torch_and_colours_nothing(self, command, project, tmp_path_factory):
        """Also where torch is installed: packages such as `datasets` import it then, so a fake one takes its place."""
        packages = tmp_path_factory.mktemp("fake-packages")
        for name in ("torch", "prefect"):
            (packages / name).mkdir()
            (packages / name / "__init__.py").write_text("raise SystemExit(f'{__name__} was imported')\n")
            (packages / f"{name}-9.0.dist-info").mkdir()
            metadata = packages / f"{name}-9.0.dist-info" / "METADATA"
            metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.0\n")
        options = command("run")
        options["env"]["PYTHONPATH"] = os.pathsep.join([str(packages), options["env"]["PYTHONPATH"]])
        ended = subprocess.run(**options, capture_output=True, check=False, timeout=60)
        assert ended.returncode == 0, ended.stderr
        assert "steps had work" in ended.stdout
        assert "\x1b" not in ended.stdout + ended.stderr
        options["args"] = [sys.executable, "-c", "import torch"]
        assert "torch was imported" in subprocess.run(**options, capture_output=True, check=False).stderr


class TestSteps:
    @pytest.mark.parametrize("name", STEP_NAMES)
    def test_each_step_is_a_verb_that_plans_and_runs(self, call, project, name):
        verb = [name, *(["--take-in"] if name == "label" else [])]  # by itself it serves the labelling page
        plan = call(*verb, "--dry-run", "--json")
        assert plan.code == 0
        assert plan.objects[0]["step"] == name
        result = call(*verb, "--json")
        assert result.code == 0
        assert result.objects[0]["step"] == name
        assert call(*verb).out.startswith(f"{name}: ")

    def test_a_flag_overrides_the_file(self, call, walked):
        assert call("report", "--path", "other.html").code == 0
        assert (walked / "other.html").is_file()
        (walked / "inbox").rename(walked / "away")
        missing = call("align", "--target", "absent.txt")
        assert missing.code == 4
        assert "absent.txt" in missing.err

    def test_a_missing_source_is_bad_data(self, call, project):
        (project / "inbox" / "notes.jsonl").unlink()
        (project / "inbox").rmdir()
        result = call("ingest")
        assert result.code == 4
        assert "inbox" in result.err


class TestIngestPath:
    def test_a_path_is_a_source_for_this_call(self, call, project):
        rows = [{"body": "bonjour", "kind": "greeting", "url": "1", "lang": "fr", "year": 2020, "terms": "CC0-1.0"}]
        (project / "posts.jsonl").write_text("\n".join(map(json.dumps, rows)))
        options = ["--text", "body", "--label", "kind", "--attribute", "kind", "--id", "url", "--meta", "lang,year"]
        options += ["--licence", "MIT", "--licence-column", "terms"]
        result = call("ingest", "posts.jsonl", *options, "--json")
        assert result.code == 0
        assert result.objects[0]["done"] == 1
        [origin] = call("sql", "FROM origins SELECT source, entity, licence, metadata", "--json").objects
        assert origin["source"] == "posts"
        assert origin["licence"] == "CC0-1.0"
        assert json.loads(origin["metadata"]) == {"lang": "fr", "year": 2020}
        [claim] = call("sql", "FROM annotations SELECT annotator, attribute, value", "--json").objects
        assert claim == {"annotator": "posts", "attribute": "kind", "value": "greeting"}
        [source] = call("sql", "FROM sources SELECT source, address", "--json").objects
        assert source == {"source": "posts", "address": "posts.jsonl"}

    def test_all_rejected_is_bad_data_and_some_is_partly_done(self, call, project):
        (project / "bad.jsonl").write_text("{\n{\n")
        result = call("ingest", "bad.jsonl")
        assert result.code == 4
        assert "2 rejected" in result.out
        (project / "mixed.jsonl").write_text('{\n{"text": "good"}\n')
        assert call("ingest", "mixed.jsonl", "--name", "mixed").code == 7
        assert call("ingest", "mixed.jsonl", "--name", "mixed").code == 0

    def test_options_without_a_path_are_refused(self, call, project):
        result = call("ingest", "--text", "body")
        assert result.code == 2
        assert "--text describes a path" in result.err

    def test_another_sources_name_is_refused(self, call, project):
        result = call("ingest", "target.txt", "--name", "inbox")
        assert result.code == 2
        assert "choose another --name" in result.err

    def test_what_the_file_says_last_is_what_the_store_says(self, call, project):
        def taken_in(row, *options):
            (project / "data.jsonl").write_text(json.dumps({"id": 1, **row}))
            assert call("ingest", "data.jsonl", "--id", "id", *options).code == 0
            query = """
                SELECT i.text, o.licence, (
                    SELECT arg_max(value, commit_number) FROM annotations a WHERE a.item_id = i.item_id) AS label
                FROM items i JOIN latest_origins o USING (item_id) ANTI JOIN dropped USING (item_id)"""
            [told] = call("sql", query, "--json").objects
            return told

        alpha, changed = {"text": "alpha", "kind": "a"}, {"text": "CHANGED", "kind": "a"}
        options = ("--label", "kind", "--licence", "unknown")
        for row in (alpha, changed, alpha):
            assert taken_in(row, *options) == {"text": row["text"], "licence": "unknown", "label": "a"}
        for kind in ("b", "a"):
            assert taken_in(alpha | {"kind": kind}, *options)["label"] == kind
        assert taken_in(alpha | {"sort": "c"}, "--label", "sort", "--licence", "MIT") == {
            "text": "alpha", "licence": "MIT", "label": "c"
        }  # fmt: skip
        assert "nothing to do" in call("ingest", "data.jsonl", "--id", "id", "--label", "sort", "--licence", "MIT").out

    def test_a_file_of_the_same_name_elsewhere_is_no_newer_version_of_the_first(self, call, project):
        for folder, text in (("a", "one"), ("b", "two")):
            (project / folder).mkdir()
            (project / folder / "data.jsonl").write_text(json.dumps({"id": 1, "text": text}))
        assert call("ingest", "a/data.jsonl", "--id", "id").code == 0
        assert call("ingest", "a/data.jsonl", "--id", "id").code == 0
        result = call("ingest", "b/data.jsonl", "--id", "id")
        assert result.code == 2
        assert "a/data.jsonl" in result.err
        assert "--name" in result.err
        assert call("ingest", "b/data.jsonl", "--id", "id", "--name", "b").code == 0
        assert call("sql", "SELECT count(*) AS dropped FROM dropped", "--json").objects == [{"dropped": 0}]

    @pytest.mark.parametrize(
        ("options", "complaint"), [(["--name", "a/b"], "--name 'a/b'"), (["--meta", "a,a"], "--meta")]
    )
    def test_options_that_do_not_fit_are_usage_errors(self, call, project, options, complaint):
        result = call("ingest", "target.txt", *options)
        assert result.code == 2
        assert complaint in result.err

    def test_no_project_is_needed_where_a_store_is_named(self, call, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "note.txt").write_text("a note")
        assert call("ingest", "note.txt", "--store", "store").code == 0
        assert call("--store", "store", "status", "--json").objects[0]["figures"]["items:text"] == 1


class TestStatus:
    def test_a_new_project_has_nothing_yet(self, call, project):
        result = call("status")
        assert result.code == 0
        assert "none yet" in result.out
        assert "next: curate run" in result.err
        assert call("status", "--json").objects[0]["commit_number"] == 0

    def test_it_counts_and_dates(self, call, walked):
        [found] = call("status", "--json").objects
        assert found["tables"]["items"] == found["figures"]["items:text"] == 25
        assert found["age_seconds"] >= 0
        assert found["holder"] is None
        shown = call("status").out
        assert f"commit  {found['commit_number']} by {found['step']}" in shown
        assert "writer  nobody" in shown

    def test_a_damaged_manifest_is_bad_data(self, call, walked):
        (walked / "curate-store" / "published" / "manifest.json").write_text("{")
        result = call("status")
        assert result.code == 4
        assert "unchanged: " in result.err


class TestWhy:
    def test_an_items_story_is_told(self, call, walked):
        [kept, *_] = call("sql", "FROM snapshot_items", "--json").objects
        result = call("why", kept["item_id"])
        assert result.code == 0
        assert "in: held by snapshot notes 1" in result.out
        assert "origins" in result.out
        assert "as of commit" in result.err
        [found] = call("why", kept["item_id"][:16], "--json").objects
        assert found["item"]["item_id"] == kept["item_id"]

    def test_a_dropped_item_says_why(self, call, walked):
        [dropped] = call("sql", "FROM dropped", "--json").objects
        assert "out: dedup dropped it (duplicate)" in call("why", dropped["item_id"]).out

    def test_unknown_and_ambiguous_beginnings_are_errors(self, call, walked):
        assert call("why", "zz").code == 4
        assert call("why", "").code == 2
        digits = [row["item_id"][0] for row in call("sql", "FROM items SELECT item_id", "--json").objects]
        shared = max(digits, key=digits.count)  # 25 ids begin with 16 possible digits
        ambiguous = call("why", shared)
        assert ambiguous.code == 2
        assert f"{shared!r} fits several items" in ambiguous.err

    def test_an_empty_store_is_a_configuration_error(self, call, project):
        assert call("why", "ab").code == 3


class TestSql:
    QUESTION = "SELECT 1 AS n, 'a,\"b' AS t, NULL AS nothing, [1, 2] AS l, '\\x0A'::BLOB AS b, DATE '2026-01-02' AS d"

    def test_csv_off_a_terminal(self, call, walked):
        result = call("sql", self.QUESTION)
        assert list(csv.reader(io.StringIO(result.out))) == [
            ["n", "t", "nothing", "l", "b", "d"],
            ["1", 'a,"b', "", "[1, 2]", "0a", "2026-01-02"],
        ]
        assert result.err.startswith("as of commit ")

    def test_tsv_json_and_table(self, call, walked):
        assert call("sql", "SELECT 1 AS a, 2 AS b", "--format", "tsv").out == "a\tb\n1\t2\n"
        expected = [{"n": 1, "t": 'a,"b', "nothing": None, "l": [1, 2], "b": "0a", "d": "2026-01-02"}]
        assert call("sql", self.QUESTION, "--json").objects == expected
        assert call("sql", "SELECT 1 AS a, 2 AS b", "--format", "table").out == "a  b\n-  -\n1  2\n"

    def test_a_person_gets_a_table(self, call, walked, monkeypatch):
        monkeypatch.setattr("curate.cli.query.is_terminal", lambda stream: True)
        assert call("sql", "SELECT 1 AS a").out == "a\n-\n1\n"

    def test_a_long_table_says_that_it_is_cut(self, call, walked):
        result = call("sql", "FROM range(1000)", "--format", "table")
        assert len(result.out.splitlines()) == 202
        assert "--format csv gives all" in result.err

    def test_a_question_can_come_from_standard_input(self, spawn, walked):
        assert spawn("sql", "-", input="SELECT 7 AS seven").out == "seven\n7\n"

    @pytest.mark.parametrize(
        "question", ["DROP VIEW items", "SELEC 1", "FROM absent", "SELECT 1; SELECT 2", "COPY items TO 'x.csv'", ""]
    )
    def test_what_is_no_question_is_a_usage_error(self, call, walked, question):
        result = call("sql", question)
        assert result.code == 2
        assert result.err.startswith("error: ")
        assert not (walked / "x.csv").exists()

    def test_files_outside_the_store_cannot_be_read(self, call, walked):
        assert call("sql", f"FROM read_text('{walked}/curate.toml')").code == 2
