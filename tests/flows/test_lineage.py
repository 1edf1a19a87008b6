"""Lineage: the events of real walks, held to OpenLineage's own classes; real servers that take, refuse and hang."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from curate.errors import BadDataError
from curate.flows.lineage.events import Dataset, StepRun, run_event
from curate.flows.lineage.outlets import PAUSE_SECONDS, AddressOutlet, FileOutlet
from curate.flows.lineage.places import StorePlace, catalog_name
from curate.flows.project import Project
from curate.flows.sequence import run_sequence, run_step
from curate.flows.steps import STEPS, step_named
from curate.flows.steps.base import Plan
from curate.flows.watch import Watch
from curate.settings import load_settings
from curate.store.address import LakeAddress
from curate.types import Progress, SilentProgress, StepReport

SETTINGS = '\n[lineage]\nfile = "out/lineage.jsonl"\nnamespace = "tests"\n'
_FACETS: dict[str, Callable[..., Any]] = {
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "inputStatistics": facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
    "parent": lambda run, job, **rest: facet_v2.parent_run.ParentRunFacet(
        facet_v2.parent_run.Run(**run), facet_v2.parent_run.Job(**job), **rest
    ),
    "schema": lambda fields, **rest: facet_v2.schema_dataset.SchemaDatasetFacet(
        [facet_v2.schema_dataset.SchemaDatasetFacetFields(**field) for field in fields], **rest
    ),
    "symlinks": lambda identifiers, **rest: facet_v2.symlinks_dataset.SymlinksDatasetFacet(
        [facet_v2.symlinks_dataset.Identifier(**given) for given in identifiers], **rest
    ),
    "tags": lambda tags, **rest: facet_v2.tags_run.TagsRunFacet(
        [facet_v2.tags_run.TagsRunFacetFields(**tag) for tag in tags], **rest
    ),
}


class Noted(SilentProgress):
    """A progress that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def check_event(event: dict[str, Any]) -> None:
    """Rebuild an event from OpenLineage's own classes, which know no other fields; the same must come out."""
    dataset_keys = {"facets": _facets, "inputFacets": _facets, "outputFacets": _facets}

    def dataset(kind: Callable[..., Any], given: dict[str, Any]) -> Any:
        return kind(**{key: dataset_keys.get(key, lambda value: value)(value) for key, value in given.items()})

    rebuilt = event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(event["run"]["runId"], _facets(event["run"]["facets"])),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"], _facets(event["job"]["facets"])),
        inputs=[dataset(event_v2.InputDataset, given) for given in event["inputs"]],
        outputs=[dataset(event_v2.OutputDataset, given) for given in event["outputs"]],
    )
    assert _without_empties(Serde.to_dict(rebuilt)) == _without_empties(event)


def _facets(given: dict[str, Any]) -> dict[str, Any]:
    facets = {}
    for name, facet in given.items():
        fields = {key: value for key, value in facet.items() if key != "_schemaURL"}
        facets[name] = _FACETS[name](producer=fields.pop("_producer"), **fields)
    return facets


def _without_empties(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: inner for key, inner in ((k, _without_empties(v)) for k, v in value.items()) if inner not in ({}, [])
        }
    return [_without_empties(inner) for inner in value] if isinstance(value, list) else value


def events_in(folder: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (folder / "out" / "lineage.jsonl").read_text().splitlines()]
    for event in events:
        check_event(event)
    return events


def names(datasets: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Each dataset's version and statistics by its name below the project."""
    found = {}
    for given in datasets:
        facets = {**given.get("inputFacets", {}), **given.get("outputFacets", {})}
        figures = next(iter(facets.values()), {})
        shown = {key: value for key, value in figures.items() if not key.startswith("_")}
        version = given["facets"].get("version", {}).get("datasetVersion", "")
        found[given["name"].removeprefix(f"{folder}/")] = (version, shown)
    return found


def project_in(folder: Path, settings: str) -> Project:
    (folder / "curate.toml").write_text(settings)
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


class FakeStep:
    """A step that does what it is told."""

    def __init__(self, work: Callable[[], StepReport]) -> None:
        self.name = "fake"
        self._work = work

    def plan(self, project: Project, progress: Progress) -> Plan:
        return Plan(self.name, 0, 0)

    def run(self, project: Project, progress: Progress) -> StepReport:
        return self._work()


class TestWalk:
    def test_every_step_is_told_of(
        self, make_project: Callable[..., Path], open_project: Callable[[Path], Project]
    ) -> None:
        folder = make_project(more_settings=SETTINGS)
        project = open_project(folder)
        reports = {report.step: report for report in run_sequence(project, SilentProgress())}
        events = events_in(folder)
        kinds = [(event["job"]["name"], event["eventType"]) for event in events]
        assert kinds == [(f"project.{step.name}", kind) for step in STEPS for kind in ("START", "COMPLETE")]
        ids = [event["run"]["runId"] for event in events]
        assert ids[::2] == ids[1::2]
        assert len(set(ids)) == len(STEPS)
        assert {event["job"]["namespace"] for event in events} == {"tests"}
        assert len({event["run"]["facets"]["parent"]["run"]["runId"] for event in events}) == 1
        ends = {event["job"]["name"].removeprefix("project."): event for event in events[1::2]}
        self.check_ingest(ends["ingest"], folder, reports["ingest"], project)
        self.check_rest(ends, folder)
        self.check_second_walk(folder, open_project(folder), len(events))

    def check_ingest(self, event: dict[str, Any], folder: Path, report: StepReport, project: Project) -> None:
        tags = {tag["key"]: tag["value"] for tag in event["run"]["facets"]["tags"]["tags"]}
        assert tags == {
            "run_id": project.store.run_id,
            "done": str(report.done),
            "skipped": str(report.skipped),
            "rejected": str(report.rejected),
            "failed": "0",
        }
        with project.reader() as reader:
            question = 'SELECT source, count(*) AS "rows" FROM origins GROUP BY source'
            origins = {row["source"]: row["rows"] for row in reader.query(question).to_pylist()}
        assert names(event["inputs"], folder) == {
            "inbox/snippets.jsonl": ("", {"rowCount": origins["snippets"]}),
            "inbox/prose.parquet": ("", {"rowCount": origins["prose"]}),
            "inbox/notes": ("", {"rowCount": origins["notes"]}),
            "inbox/digits": ("", {"rowCount": origins["digits"]}),
        }
        outputs = names(event["outputs"], folder)
        assert outputs["curate-store/items"][1] == {"rowCount": report.done}
        assert outputs["curate-store/origins"][1] == {"rowCount": sum(origins.values())}
        assert outputs["curate-store/rejects"][1] == {"rowCount": report.rejected}
        assert not {"curate-store/cursors", "curate-store/ledger"} & set(outputs)

    def check_rest(self, ends: dict[str, dict[str, Any]], folder: Path) -> None:
        assert "target.jsonl" in names(ends["align"]["inputs"], folder)
        snapshots = {
            name: figures
            for name, (version, figures) in names(ends["snapshot"]["outputs"], folder).items()
            if name.startswith("curate-store/snapshots/") and version == "1"
        }
        assert snapshots == {
            "curate-store/snapshots/like-target": {"rowCount": 40},
            "curate-store/snapshots/digits": {"rowCount": 100},
        }
        exported = names(ends["export"]["outputs"], folder)
        assert {exported["exports/digits"][0], exported["exports/like-target"][0]} == {"1"}
        assert names(ends["export"]["inputs"], folder)["curate-store/snapshots/digits"][0] == "1"
        assert names(ends["learn"]["inputs"], folder)["curate-store/snapshots/digits"][0] == "1"
        version, figures = names(ends["learn"]["outputs"], folder)["curate-store/checkpoints/digits"]
        assert version
        assert figures["size"] > 0
        assert list(names(ends["report"]["outputs"], folder)) == ["report.html"]

    def check_second_walk(self, folder: Path, project: Project, before: int) -> None:
        run_sequence(project, SilentProgress())
        events = events_in(folder)[before:]
        assert [event["outputs"] for event in events if not event["job"]["name"].endswith("report")] == [[]] * 2 * (
            len(STEPS) - 1
        )

    def test_a_failed_step_fails_with_its_message(
        self, make_project: Callable[..., Path], open_project: Callable[[Path], Project]
    ) -> None:
        folder = make_project(more_settings=SETTINGS)
        (folder / "inbox" / "prose.parquet").unlink()
        with pytest.raises(BadDataError):
            run_sequence(open_project(folder), SilentProgress())
        start, end = events_in(folder)
        assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
        error = end["run"]["facets"]["errorMessage"]
        assert "source 'prose': nothing exists at" in error["message"]
        assert error["programmingLanguage"] == "PYTHON"
        inputs = names(end["inputs"], folder)
        assert inputs["inbox/snippets.jsonl"][1]["rowCount"] > 0  # committed before the failure
        assert inputs["inbox/notes"] == ("", {})

    @pytest.mark.parametrize(
        ("error", "kind"), [(KeyboardInterrupt(), "ABORT"), (ValueError("wrong"), "FAIL"), (SystemExit(3), "FAIL")]
    )
    def test_how_a_step_ended_is_told(self, tmp_path: Path, error: BaseException, kind: str) -> None:
        def fail() -> StepReport:
            raise error

        with pytest.raises(type(error)):
            run_step(project_in(tmp_path, SETTINGS), FakeStep(fail), SilentProgress())
        assert [event["eventType"] for event in events_in(tmp_path)] == ["START", kind]

    def test_single_verbs_are_told_of(self, tmp_path: Path) -> None:
        source = '[[source]]\nname = "c"\ncommand = ["echo", "{\\"text\\": \\"one\\"}"]\nformat = "jsonl"\n'
        project_in(tmp_path, source + SETTINGS)
        subprocess.run([sys.executable, "-m", "curate", "--quiet", "ingest"], cwd=tmp_path, check=True)
        _, end = events_in(tmp_path)
        assert [(given["namespace"], given["name"]) for given in end["inputs"]] == [("command", f"{tmp_path.name}/c")]
        assert names(end["outputs"], tmp_path)["curate-store/items"][1] == {"rowCount": 1}

    def test_a_lake_is_named_by_its_catalog_and_where_its_files_lie(
        self, tmp_path: Path, make_lake: Callable[..., LakeAddress], postgres: Any
    ) -> None:
        (tmp_path / "a.txt").write_text("a")
        lake = make_lake()
        store = f'store = "{lake}"\n[lake]\nfolder = "mine"\n[[source]]\nname = "s"\npath = "a.txt"\n'
        run_step(project_in(tmp_path, store + SETTINGS), step_named("ingest"), SilentProgress())
        _, end = events_in(tmp_path)
        [items] = [given for given in end["outputs"] if given["name"] == "items"]
        database = lake.catalog.split()[0].partition("=")[2]
        assert items["namespace"] == f"ducklake:postgres://127.0.0.1:{postgres.port}/{database}"
        [place] = items["facets"]["symlinks"]["identifiers"]
        assert (place["namespace"], place["type"]) == ("file", "LOCATION")
        assert list(Path(place["name"]).glob("*.parquet"))
        text = json.dumps(end)
        assert postgres.password not in text
        assert "mine" not in text

    def test_a_watch_tells_of_looks_that_found_something(self, tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        watch = Watch(project_in(tmp_path, '[[source]]\nname = "s"\npath = "inbox"\n' + SETTINGS), SilentProgress())
        for name in "ab":
            watch.look()
            (tmp_path / "inbox" / f"{name}.txt").write_text(name)
            watch.look()
            watch.look()
        events = events_in(tmp_path)
        assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 2
        assert len({event["run"]["runId"] for event in events}) == 2

    def test_nothing_is_told_by_default(self, tmp_path: Path) -> None:
        program = (
            "import sys\nfrom curate.cli import main\ntry: main(['--quiet', 'ingest'])\nexcept SystemExit: pass\n"
            "assert not {'httpx', 'openlineage'} & set(sys.modules)\n"
        )
        (tmp_path / "a.txt").write_text("a")
        project_in(tmp_path, '[[source]]\nname = "s"\npath = "a.txt"\n')
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "curate-store", "curate.toml"]


class TestEvents:
    def test_a_remote_source_is_named_as_openlineage_wants(self, tmp_path: Path) -> None:
        source = '[[source]]\nname = "s"\npath = "s3://bucket/data/*.jsonl"\n'
        project = project_in(tmp_path, source + SETTINGS)
        with pytest.raises(ZeroDivisionError):
            run_step(project, _named("ingest", lambda: StepReport("ingest", done=1 // 0)), SilentProgress())
        [given] = events_in(tmp_path)[0]["inputs"]
        assert (given["namespace"], given["name"]) == ("s3://bucket", "data/*.jsonl")

    def test_catalogs_and_buckets_are_named_without_who_reads_them(self) -> None:
        named = {
            "dbname='a b' host=db port=6432 user=me": "ducklake:postgres://db:6432/a b",
            "postgresql://me:secret@db/curate?sslmode=require": "ducklake:postgres://db:5432/curate",
            "service=training": "ducklake:postgres:service=training",
            "user=me": "ducklake:postgres://elsewhere:5432/me",
        }
        for catalog, name in named.items():
            assert catalog_name(catalog, {"PGHOST": "elsewhere", "PGPASSWORD": "secret"}) == name
        place = StorePlace("x", data="s3://bucket/some/place/")
        assert place.symlink("items") == ("s3://bucket", "some/place/main/items")

    def test_ids_follow_from_the_stores_run(self) -> None:
        def run(execution: int, store_run: str = "a") -> StepRun:
            return StepRun("n", "p", "ingest", store_run, execution)

        assert run(1) == run(1)
        assert len({one.run_id for one in (run(1), run(2), run(1, "b"))}) == 3
        assert run(1).parent_id == run(2).parent_id != run(1, "b").parent_id

    def test_an_event_without_anything_is_one(self) -> None:
        check_event(run_event("START", StepRun("n", "p", "s", "r", 1), datetime.now(UTC)))
        check_event(run_event("ABORT", StepRun("n", "p", "s", "r", 1), datetime.now(UTC), inputs=[Dataset("a", "b")]))


def _named(name: str, work: Callable[[], StepReport]) -> FakeStep:
    step = FakeStep(work)
    step.name = name
    return step


class RecordingServer(ThreadingHTTPServer):
    """A server on this machine that keeps what it is sent, and answers with `code`."""

    code = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Recorder(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, RecordingServer)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.code)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as started:
        Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


class TestAddress:
    def test_each_event_is_posted_with_the_key(
        self, server: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CURATE_LINEAGE_KEY", "a-key")
        settings = f'[lineage]\naddress = "{server.address}"\n'
        noted = Noted()
        run_step(project_in(tmp_path, settings), step_named("report"), noted)
        assert [request[:2] for request in server.requests] == [("/api/v1/lineage", "Bearer a-key")] * 2
        assert [body["eventType"] for _, _, body in server.requests] == ["START", "COMPLETE"]
        for _, _, body in server.requests:
            check_event(body)
        assert noted.notes == []

    def test_an_address_with_a_path_is_taken_as_it_is(self, server: RecordingServer) -> None:
        assert AddressOutlet(f"{server.address}/my/own?x=1", "", 5.0).send("{}") == ""
        assert AddressOutlet(f"{server.address}/", "", 5.0).send("{}") == ""
        assert server.requests == [("/my/own?x=1", None, {}), ("/api/v1/lineage", None, {})]

    @pytest.mark.parametrize("code", [302, 401, 500])
    def test_a_server_that_refuses_is_a_note(self, server: RecordingServer, tmp_path: Path, code: int) -> None:
        server.code = code
        noted = Noted()
        project = project_in(tmp_path, f'[lineage]\naddress = "{server.address}"\n')
        assert run_step(project, FakeStep(lambda: StepReport("fake", done=1)), noted).done == 1
        assert noted.notes == [f"lineage: {server.address}/api/v1/lineage answered {code}; it gets no events for 60 s"]
        assert len(server.requests) == 1

    def test_a_server_that_hangs_or_is_not_there_is_a_note(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as hanging:  # it takes connections and never answers
            address = f"http://127.0.0.1:{hanging.getsockname()[1]}"
            noted = Noted()
            project = project_in(tmp_path, f'[lineage]\naddress = "{address}"\ntimeout = 0.2\n')
            assert run_step(project, FakeStep(lambda: StepReport("fake", done=1)), noted).done == 1
        assert len(noted.notes) == 1
        assert "cannot be reached: ReadTimeout" in noted.notes[0]
        assert "cannot be reached: ConnectError" in AddressOutlet(address, "", 5.0).send("{}")

    def test_after_a_minute_it_is_tried_again(self, server: RecordingServer) -> None:
        now = 0.0
        outlet = AddressOutlet(server.address, "", 5.0, lambda: now)
        server.code = 503
        assert "answered 503" in outlet.send("{}")
        server.code = 200
        now = PAUSE_SECONDS - 1
        assert outlet.send("{}") == ""
        assert len(server.requests) == 1
        now = PAUSE_SECONDS
        assert outlet.send("{}") == ""
        assert len(server.requests) == 2


class TestFile:
    def test_lines_are_appended_behind_a_torn_one(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "lineage.jsonl"
        outlet = FileOutlet(path)
        assert outlet.send("1") == outlet.send("2") == ""
        with path.open("a") as stream:
            stream.write('{"torn": ')
        outlet.send("3")
        assert path.read_text() == '1\n2\n{"torn": \n3\n'

    def test_several_processes_share_a_file(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from curate.flows.lineage.outlets import FileOutlet\n"
            "outlet = FileOutlet(Path(sys.argv[1]))\n"
            "for _ in range(300): outlet.send(sys.argv[2] * 5000)"
        )
        path = tmp_path / "lineage.jsonl"
        started = [subprocess.Popen([sys.executable, "-c", program, str(path), letter]) for letter in "abc"]
        assert [process.wait(60) for process in started] == [0, 0, 0]
        found = path.read_text().splitlines()
        assert sorted(found) == [letter * 5000 for letter in "abc" for _ in range(300)]

    def test_a_file_that_cannot_be_written_is_a_note(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("in the way")
        noted = Noted()
        project = project_in(tmp_path, SETTINGS)
        assert run_step(project, FakeStep(lambda: StepReport("fake", done=1)), noted).done == 1
        assert all("lineage.jsonl cannot be written" in note for note in noted.notes)
        assert len(noted.notes) == 2

    def test_whatever_is_wrong_with_lineage_the_step_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("curate.flows.lineage.observe.found_outputs", lambda *_: 1 / 0)
        noted = Noted()
        project = project_in(tmp_path, SETTINGS)
        assert run_step(project, FakeStep(lambda: StepReport("fake", done=1)), noted).done == 1
        assert noted.notes == ["lineage of fake: ZeroDivisionError: division by zero"]
