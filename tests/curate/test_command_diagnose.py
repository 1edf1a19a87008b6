"""`config` and `doctor`, and the thin verb `demo`."""

from importlib import metadata
from types import SimpleNamespace

import pytest

from curate.cli import checkup


class TestConfig:
    def test_every_value_has_its_source(self, call, project, monkeypatch):
        monkeypatch.setenv("CURATE_SCHEDULE__CRON", "0 * * * *")
        result = call("config", "--store", "elsewhere", "--json")
        found = {entry["key"]: (entry["value"], entry["source"]) for entry in result.objects}
        assert found["schedule.cron"] == ("0 * * * *", "environment CURATE_SCHEDULE__CRON")
        assert found["store"] == ("elsewhere", "flag --store")
        assert found["align.target"] == ("target.txt", "curate.toml")
        assert found["source[0].image"] == ("image", "default")

    def test_a_person_gets_a_table(self, call, project):
        shown = call("config").out.splitlines()
        assert shown[0].split() == ["setting", "value", "source"]
        assert any(line.split() == ["lease_timeout", "30.0", "curate.toml"] for line in shown)

    def test_another_project_can_be_named(self, call, project, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert call("config", "--project", "project").code == 0
        assert call("config", "--project", "project/curate.toml").code == 0
        assert call("config", "--project", "absent.toml").code == 3


class TestDoctor:
    def findings(self, result):
        return {entry["what"]: entry for entry in result.objects}

    def test_a_healthy_project(self, call, project):
        assert call("ingest").code == 0
        result = call("doctor", "--json")
        found = self.findings(result)
        assert result.code == 0
        assert found["project"]["state"] == "ok"
        assert found["published"]["detail"].startswith("commit 1, ")
        assert found["writer"]["detail"] == "nobody"
        assert found["disk"]["detail"].endswith("GiB free")

    def test_no_project_is_nothing_broken(self, call, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = call("doctor")
        assert result.code == 0
        assert "curate init" in result.out

    def test_a_lost_segment_is_broken(self, call, project):
        assert call("ingest").code == 0
        next((project / "curate-store" / "published").rglob("*.parquet")).unlink()
        result = call("doctor")
        assert result.code == 4
        assert "broken: published" in result.err

    def test_a_damaged_manifest_and_broken_settings_are_broken(self, call, project):
        assert call("ingest").code == 0
        (project / "curate-store" / "published" / "manifest.json").write_text("[]")
        assert call("doctor").code == 4
        (project / "curate.toml").write_text("store = ")
        result = call("doctor", "--json")
        assert result.code == 4
        assert self.findings(result)["project"]["state"] == "broken"

    def test_a_file_in_the_stores_place_is_broken(self, call, project):
        (project / "curate-store").write_text("")
        assert call("doctor").code == 4

    def test_packages_and_extras(self, monkeypatch):
        lines = ["click>=8", "absent-core", "torch ; extra == 'learners'", "click; extra == 'llm'"]
        lines += ["curate[learners,llm]; extra == 'demo'", "ruff; extra == 'lint'"]
        monkeypatch.setattr(metadata, "requires", lambda name: lines)
        monkeypatch.setattr(checkup, "_version", lambda name: "8.1" if name == "click" else "")
        found = {finding.what: finding for finding in checkup.check_installation()}
        assert found["package click"].state == "ok"
        assert found["package absent-core"].state == "broken"
        assert found["extra llm"].detail == "click 8.1"
        assert found["extra learners"].detail == "torch; pip install 'curate[learners]'"
        assert found["extra demo"].state == "missing"
        assert "extra lint" not in found


class TestDemo:
    @pytest.fixture
    def fake_demo(self, monkeypatch):
        """Replace the demo, which takes minutes, by a fake that says where it was asked to work."""
        monkeypatch.setattr(
            "curate.demo.main.run_demo",
            lambda folder, progress: SimpleNamespace(folder=folder, seconds=1.5, walks=()),
        )
        monkeypatch.setattr("curate.demo.summary.format_summary", lambda summary: f"walked in {summary.folder}")

    def test_it_shows_the_summary_and_opens_no_browser_off_a_terminal(self, call, fake_demo, tmp_path, monkeypatch):
        opened = []
        monkeypatch.setattr("webbrowser.open", opened.append)
        assert call("demo", "--folder", tmp_path / "d").out == f"walked in {tmp_path / 'd'}\n"
        assert call("demo", "--json").objects[0]["seconds"] == 1.5
        assert opened == []

    def test_a_plan_writes_nothing(self, call, tmp_path):
        [plan] = call("demo", "--folder", tmp_path / "d", "--dry-run", "--json").objects
        assert (plan["folder"], plan["increments left"]) == (str(tmp_path / "d"), 5)
        assert not (tmp_path / "d").exists()

    def test_on_a_terminal_the_report_is_opened(self, call, fake_demo, tmp_path, monkeypatch):
        opened = []
        monkeypatch.setattr("webbrowser.open", opened.append)
        monkeypatch.setattr("curate.console.is_terminal", lambda stream: True)
        assert call("demo", "--folder", tmp_path, "--quiet").code == 0
        assert opened == [(tmp_path / "report.html").as_uri()]
