"""How calls fail: one message, one exit code, never a traceback unless it is asked for."""

import json
import os
import signal
import subprocess

import pytest

from curate.cli import walk
from curate.errors import BudgetSpentError, ServiceError
from curate.store.lease import hold_lease
from curate.store.store import Store


@pytest.fixture
def fake_failing_walk(monkeypatch):
    """Replace the walk by a fake that raises, for failures that no real step can be made to show here."""

    def prepare(error: BaseException) -> None:
        def fail(*arguments: object) -> list[object]:
            raise error

        monkeypatch.setattr("curate.flows.sequence.run_sequence", fail)

    return prepare


class TestMessages:
    def test_an_unknown_verb_is_a_usage_error_with_the_nearest(self, call):
        result = call("stauts")
        assert result.code == 2
        assert result.err == "error: no verb 'stauts'; did you mean 'status'?\nnext: curate --help\n"
        assert result.out == ""

    def test_an_unknown_option_is_a_usage_error(self, call):
        result = call("run", "--dryrun")
        assert result.code == 2
        assert "--dry-run" in result.err
        assert "next: curate run --help" in result.err

    def test_a_missing_project_hints_at_init(self, call, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = call("run")
        assert result.code == 3
        assert result.err.startswith("error: no curate.toml in ")
        assert result.err.endswith("next: curate init\n")

    def test_an_unknown_key_is_a_configuration_error(self, call, project):
        (project / "curate.toml").write_text('[align]\ntraget = "x"\n')
        result = call("status")
        assert result.code == 3
        assert "did you mean 'target'?" in result.err

    @pytest.mark.parametrize(
        ("arguments", "named", "modality"),
        [
            (["--image", "a", "--modality", "text"], "image", "text"),
            (["--text", "a", "--events", "b"], "events", "text"),
        ],
    )
    def test_a_column_of_another_modality_is_a_usage_error(self, call, project, arguments, named, modality):
        result = call("ingest", "pictures", *arguments)
        assert result.code == 2
        assert (
            f"--{named} names a column of items of the modality {named}, and this source's is {modality}" in result.err
        )

    def test_the_column_of_an_image_says_the_modality(self, call, project):
        (project / "a.jsonl").write_text('{"picture": "AAAA"}\n')
        assert call("ingest", "a.jsonl", "--image", "picture").code == 4
        assert "hold no image" in call("sql", "SELECT detail FROM rejects").out

    @pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"], ["run", "--nonsense", "--json"]])
    def test_with_json_the_error_is_an_object(self, call, tmp_path, monkeypatch, arguments):
        monkeypatch.chdir(tmp_path)
        result = call(*arguments)
        found = json.loads(result.err)
        assert set(found) == {"error", "kind", "exit_code", "unchanged", "next"}
        assert found["exit_code"] == result.code
        assert result.code in (2, 3)

    def test_an_unexpected_failure_is_one_line_and_exit_code_1(self, call, project, fake_failing_walk):
        fake_failing_walk(ZeroDivisionError("division by zero"))
        result = call("run")
        assert result.code == 1
        assert result.err == (
            "error: unexpected ZeroDivisionError: division by zero\nnext: run again with --debug to see where\n"
        )

    def test_debug_shows_the_traceback(self, call, project, fake_failing_walk):
        fake_failing_walk(ZeroDivisionError("division by zero"))
        result = call("run", "--debug")
        assert result.code == 1
        assert "Traceback" in result.err

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (BudgetSpentError("the ceiling of 5 is reached", unchanged="everything paid for is kept"), 6),
            (ServiceError("http://localhost:1 does not answer"), 7),
            (ModuleNotFoundError("No module named 'torch'", name="torch"), 3),
            (EOFError("a compressed file ended too early"), 1),
            (BrokenPipeError(32, "a service hung up"), 1),
            (SystemError("inside"), 1),
        ],
    )
    def test_each_failure_has_its_exit_code(self, call, project, fake_failing_walk, error, code):
        fake_failing_walk(error)
        result = call("run")
        assert result.code == code
        assert result.err.startswith("error: ")
        assert "Traceback" not in result.err

    def test_serve_without_prefect_names_the_extra(self, call, project, monkeypatch):
        monkeypatch.setattr("curate.flows.deployment.find_spec", lambda name: None)
        result = call("serve")
        assert result.code == 3
        assert "pip install 'curate[prefect]'" in result.err

    def test_serve_passes_file_and_schedule(self, call, project, monkeypatch):
        served = []

        def record(file, settings, *_):
            served.append((file, settings.schedule.cron, settings.watch.enabled))

        monkeypatch.setattr("curate.flows.deployment.serve", record)
        assert call("serve", "--cron", "0 * * * *").code == 0
        assert call("serve", "--watch", "--project", project).code == 0
        file = project / "curate.toml"
        assert served == [(file, "0 * * * *", False), (file, "*/10 * * * *", True)]
        assert walk.serve_verb.name == "serve"
        assert call("serve", "--dry-run").out == f"would serve {file} at '*/10 * * * *'\n"
        assert "no cron expression" in call("serve", "--dry-run", "--cron", "daily").err
        assert len(served) == 2

    def test_serve_refuses_a_store_that_its_runs_would_not_use(self, call, project):
        result = call("serve", "--store", "x", "--project", project)
        assert result.code == 2
        assert "CURATE_STORE" in result.err


class TestBusyStore:
    def test_a_held_store_ends_with_5_and_the_holders_name(self, call, project, monkeypatch):
        Store.open(project / "curate-store", create=True)
        monkeypatch.setenv("CURATE_LEASE_TIMEOUT", "0.05")
        with hold_lease(project / "curate-store", timeout=1, command="somebody's command"):
            result = call("run")
            looked = call("status")
        assert result.code == 5
        assert "somebody's command" in result.err
        assert looked.code == 0
        assert "somebody's command" in looked.out
        assert "nobody" in call("status").out


class TestInterruption:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_with_130_and_says_what_is_committed(self, call, command, project, number):
        assert call("ingest").code == 0
        (project / "inbox" / "more.txt").write_text("one more note")
        with hold_lease(project / "curate-store", timeout=1, command="a test"):
            process = subprocess.Popen(**command("run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert process.stderr is not None
            first = process.stderr.readline()  # from here on it waits for the lease
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        assert first.startswith("ingest inbox: ")
        assert process.returncode == 130
        assert out == ""
        assert err == (
            "error: interrupted\n"
            "unchanged: what was finished is committed (commit 1, ingest); the batch at hand was left out\n"
            "next: the same command goes on from there\n"
        )
        assert call("ingest").out.startswith("ingest: 1 done")

    def test_a_broken_pipe_is_no_failure(self, call, command, project):
        assert call("ingest").code == 0
        process = subprocess.Popen(
            **command("sql", "SELECT * FROM range(1000000)", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == '{"range": 0}\n'
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
        process.stderr.close()

    def test_help_into_a_closed_pipe_is_quiet(self, command, project):
        reading, writing = os.pipe()
        os.close(reading)
        with subprocess.Popen(**command("--help"), stdout=writing, stderr=subprocess.PIPE) as process:
            os.close(writing)
            assert process.stderr is not None
            assert process.stderr.read() == ""
