"""`curate filter` from the command line: flags switch rules on, and `why` says what was found."""

from pathlib import Path

import pytest

EMAIL = "jane.roe@mailbox.org"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "texts.jsonl").write_text(f'{{"text": "write to {EMAIL}"}}\n{{"text": "write to nobody"}}\n')
    (tmp_path / "curate.toml").write_text('[[source]]\nname = "texts"\npath = "texts.jsonl"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_switch_rules_on(call, project):
    assert call("ingest").code == 0
    assert "every rule is switched off" in call("filter").err
    [plan] = call("filter", "--personal-data", "true", "--dry-run", "--json").objects
    assert (plan["to_do"], plan["already_done"]) == (2, 0)
    done = call("filter", "--personal-data", "true")
    assert done.out.startswith("filter: 2 done")
    [row] = call("sql", "SELECT item_id, action, reason FROM decisions", "--json").objects
    assert (row["action"], row["reason"]) == ("drop", "personal data: email address")
    why = call("why", row["item_id"])
    assert "out: filter dropped it (personal data: email address)" in why.out
    assert EMAIL not in done.out + done.err


@pytest.mark.parametrize("value", ["maybe", "1"])
def test_a_flag_that_is_no_truth_is_refused(call, project, value):
    assert call("filter", "--secrets", value).code == 3
