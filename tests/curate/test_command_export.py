"""`curate export --push` and `curate label --import`, from the command line."""

import importlib.util
import json

import pytest


@pytest.fixture
def fake_hub(repository, monkeypatch):
    """A fake hub that this environment, and processes started later, take for the real one."""
    file = repository / "tests" / "support" / "fake_hub.py"
    specification = importlib.util.spec_from_file_location("fake_hub", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    with module.FakeHub("hf_for-the-fake-hub-only") as hub:
        surroundings = {"HF_ENDPOINT": hub.address, "HF_TOKEN": hub.token, "HF_HUB_OFFLINE": "0"}
        for name, value in {**surroundings, "HF_HUB_DISABLE_XET": "1"}.items():
            monkeypatch.setenv(name, value)
        yield hub


def test_push_sends_each_training_set(walked, fake_hub, spawn):
    [name] = [path.name for path in (walked / "exports").iterdir()]
    pushed = spawn("export", "--push", "--hub", "someone", "--json")
    assert pushed.code == 0, pushed.err
    assert [entry["step"] for entry in pushed.objects] == ["export", "push"]
    assert pushed.objects[1]["details"] == {name: f"someone/{name}"}
    assert set(fake_hub.repositories[f"someone/{name}"].files) >= {"README.md", "manifest.json", "croissant.json"}
    assert spawn("export", "--push", "--hub", "someone", "--json").objects[1]["done"] == 0


def test_push_without_an_owner_says_what_to_set(walked, call):
    refused = call("export", "--push")
    assert refused.code == 3
    assert "[export] hub" in refused.err


def test_answers_are_taken_in_once(walked, call):
    [item] = [row["item_id"] for row in call("sql", "--json", "SELECT item_id FROM items LIMIT 1").objects]
    [asked] = call("sql", "--json", 'SELECT attribute, "values" FROM attributes LIMIT 1').objects
    chosen = {"from_name": asked["attribute"], "value": {"choices": [asked["values"][0]]}, "type": "choices"}
    answers = [{"data": {"item_id": item}, "annotations": [{"completed_by": 1, "result": [chosen]}]}]
    (walked / "answers.json").write_text(json.dumps(answers))
    planned = call("label", "--import", "answers.json", "--dry-run")
    assert planned.code == 0
    assert "nothing was written" in planned.err
    taken = call("label", "--import", "answers.json", "--json")
    assert (taken.code, taken.objects[0]["done"]) == (0, 1)
    assert call("label", "--import", "answers.json", "--json").objects[0]["done"] == 0
    found = call("sql", "--json", "SELECT annotator FROM annotations WHERE annotator_kind = 'human'").objects
    assert found == [{"annotator": "label-studio-1"}]


def test_answers_that_are_refused_are_pointed_at(walked, call):
    chosen = {"from_name": "topic", "value": {"choices": ["sea"]}, "type": "choices"}
    answers = [{"data": {"item_id": "nobody"}, "annotations": [{"completed_by": 1, "result": [chosen]}]}]
    (walked / "answers.json").write_text(json.dumps(answers))
    refused = call("label", "--import", "answers.json")
    assert refused.code == 4
    assert "next: curate sql 'FROM rejects'" in refused.err


def test_another_file_is_bad_data(walked, call):
    (walked / "other.json").write_text("{}")
    refused = call("label", "--import", "other.json")
    assert refused.code == 4
    assert "no list of tasks" in refused.err
