"""Adapters are fitted to snapshots, registered, judged and resumed, and what cannot be fitted is told clearly."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curate.errors import BadDataError, ConfigurationError, StoreBusyError, StoreError, UnknownNameError
from curate.flows.project import Project
from curate.flows.sequence import run_step
from curate.flows.steps import step_named
from curate.settings import load_settings
from curate.store.checkpoints import load_checkpoint
from curate.store.comparison import differences
from curate.store.fits import fit_folder
from curate.store.why import explain
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"
label = "topic"
attribute = "topic"

[dedup]
near = false

[[snapshot]]
name = "notes"
label = "topic"
splits = { train = 0.6, validation = 0.2, test = 0.2 }

[[adapter]]
name = "style"
snapshot = "notes"
base = "base"
task = "TASK"
METHOD
parameters = { steps = STEPS, passes = 20, batch_size = 4, checkpoint_every = 2, evaluate_every = 3 }
"""
WORDS = {
    "sea": ["sail", "anchor", "harbour", "wave", "tide", "gull", "mast", "rudder", "keel", "deck"],
    "land": ["field", "forest", "meadow", "plough", "fence", "barn", "orchard", "horse", "cart", "lane"],
}


def settings(task: str = "causal-language-model", method: str = 'method = "lora"', steps: int = 9) -> str:
    return SETTINGS.replace("TASK", task).replace("METHOD", method).replace("STEPS", str(steps))


def write_notes(folder: Path, count: int, seed: int) -> None:
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        topic = ("sea", "land")[number % 2]
        text = " ".join([f"n{seed}", *(chance.choice(WORDS[topic]) for _ in range(8))])
        lines.append(json.dumps({"text": text, "topic": topic}))
    (folder / f"{seed}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder: Path, text: str = "") -> Project:
    if text:
        (folder / "curate.toml").write_text(text, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def run(folder: Path, *names: str, text: str = "") -> dict[str, StepReport]:
    project = opened(folder, text)
    return {name: run_step(project, step_named(name), QUIET) for name in names}


def ask(folder: Path, sql: str) -> list[dict[str, Any]]:
    with opened(folder).reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory, tiny_models: Any) -> Path:
    """A project with a base model and a snapshot, before any fit; never to be written to."""
    folder = tmp_path_factory.mktemp("frozen") / "project"
    folder.mkdir()
    tiny_models.write_language_model(folder / "base", [word for words in WORDS.values() for word in words])
    write_notes(folder, 60, 1)
    run(folder, "ingest", "snapshot", text=settings())
    return folder


@pytest.fixture
def folder(frozen: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(frozen, tmp_path / "project"))


def test_a_language_model_is_fitted_and_registered(folder: Path) -> None:
    assert step_named("train").plan(opened(folder), QUIET).to_do == 1
    report = run(folder, "train")["train"]
    figures = report.details["style notes 1"]
    assert report.done == 1
    assert figures["steps"] == 9
    assert figures["after"] < figures["before"]
    [row] = ask(folder, "FROM checkpoints")
    assert (row["learner"], row["snapshot"], row["number"]) == ("adapter:style", "notes", 1)
    assert row["items"] == len(ask(folder, "FROM snapshot_items WHERE split = 'train'"))
    assert row["size"] == len(load_checkpoint(folder / "curate-store", row["checkpoint"]))
    measured = ask(folder, "FROM metrics WHERE subject = 'adapter:style' ORDER BY name, slice")
    assert {one["checkpoint"] for one in measured} == {row["checkpoint"]}
    by_name = {(one["name"], one["slice"]): one["value"] for one in measured}
    assert [("training loss", f"step:{step}") in by_name for step in range(9)] == [True] * 9
    assert [step for step in range(9) if ("held-out loss", f"step:{step}") in by_name] == [2, 5, 8]
    assert by_name["test loss", "all"] == figures["after"]
    [turn] = ask(folder, "FROM promotions")
    assert (turn["action"], turn["reason"]) == ("promoted", "the first checkpoint")
    assert list((folder / "curate-store" / "fits").iterdir()) == []
    again = run(folder, "train")["train"]
    assert again.idle
    assert step_named("train").plan(opened(folder), QUIET).already_done == 1


def test_a_new_number_is_fitted_to_anew_and_judged_against_what_is_served(folder: Path) -> None:
    run(folder, "train")
    write_notes(folder, 60, 2)
    report = run(folder, "ingest", "snapshot", "train")["train"]
    assert list(report.details) == ["style notes 2"]
    turns = ask(folder, "FROM promotions ORDER BY turn")
    assert [turn["number"] for turn in turns] == [1, 2]
    assert turns[1]["served"] == turns[0]["checkpoint"] != turns[1]["checkpoint"]
    assert ask(folder, "FROM metrics WHERE name = 'difference to served' AND number = 2")
    assert not ask(folder, "FROM metrics WHERE name = 'negative flips'")


@pytest.mark.parametrize("method", ['method = "lora"', 'method = "ia3"', 'method = "prompt"'])
def test_methods_have_rates_of_their_own(folder: Path, method: str) -> None:
    figures = run(folder, "train", text=settings(method=method))["train"].details["style notes 1"]
    assert figures["after"] < figures["before"]


def test_a_classifier_of_texts_is_fitted(folder: Path) -> None:
    text = settings("text-classification", steps=40)
    report = run(folder, "train", text=text)["train"]
    assert report.details["style notes 1"]["accuracy"] > 0.9
    [row] = ask(folder, "FROM checkpoints")
    assert row["classes"] == ["land", "sea"]
    assert {one["slice"] for one in ask(folder, "FROM metrics WHERE name = 'accuracy'")} == {
        "all", "class:land", "class:sea",
    }  # fmt: skip


def test_a_fit_ends_with_the_step_that_reaches_the_tokens(folder: Path) -> None:
    text = settings(method="tokens = 100")
    figures = run(folder, "train", text=text)["train"].details["style notes 1"]
    assert 0 < figures["steps"] < 9


def test_a_killed_fit_ends_as_an_undisturbed_one(folder: Path, tmp_path: Path) -> None:
    """The process is killed between two checkpoints, twice, and once before anything was kept."""
    other = Path(shutil.copytree(folder, tmp_path / "killed"))
    run(folder, "train")
    for step in (0, 3, 6):
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(step)], cwd=other, env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True, check=False, timeout=240,
        )  # fmt: skip
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        assert ask(other, "FROM checkpoints") == []
    assert len(list((other / "curate-store" / "fits").glob("*/*.safetensors"))) > 0
    run(other, "train")
    with opened(folder).reader() as first, opened(other).reader() as second:
        assert differences(first, second) == []


KILLED = """
import os, signal, sys
import torch
from pathlib import Path
from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.learners.adapters.trainer import AdapterTrainer
from curate.settings import load_settings
from curate.types import SilentProgress

class Killing(SilentProgress):
    done = 0
    def advance(self, count=1):
        Killing.done += 1
        if Killing.done + start > int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
found = sorted(Path("curate-store/fits").glob("*/step-*.safetensors"))
start = int(found[-1].stem.partition("-")[2]) if found else 0
project = Project(Path.cwd(), load_settings(Path("curate.toml"), {}), command="test")
step_named("train").run(project, Killing())
"""


def test_a_fit_that_another_process_is_at_is_left_alone(folder: Path) -> None:
    with pytest.raises(BadDataError):
        broken(folder)
    [fit] = (folder / "curate-store" / "fits").iterdir()
    with fit_folder(folder / "curate-store", fit.name), pytest.raises(StoreBusyError, match="another process"):
        run(folder, "train")


def broken(folder: Path) -> None:
    run(folder, "train", text=settings().replace("steps = 9", "steps = 9, learning_rate = 1e30, largest_norm = 0"))


def test_a_loss_that_is_not_a_number_names_items_and_what_is_kept(folder: Path) -> None:
    with pytest.raises(BadDataError, match=r"adapter 'style': the (loss|gradient) is not finite at step \d") as caught:
        broken(folder)
    assert "curate why" in caught.value.hint
    item = caught.value.hint.split()[2].rstrip(",")
    assert ask(folder, f"FROM items WHERE starts_with(item_id, '{item}')")
    assert Path(caught.value.unchanged.partition(", ")[2]).is_file()
    assert ask(folder, "FROM checkpoints") == []


def test_weights_that_the_last_step_broke_are_not_committed(folder: Path) -> None:
    wild = "steps = 1, learning_rate = 1e30, largest_norm = 0"
    text = settings(steps=1).replace("steps = 1", wild)
    with pytest.raises(BadDataError, match=r"(adapter|held-out loss) is not finite"):
        run(folder, "train", text=text)
    assert ask(folder, "SELECT count(*) AS n FROM checkpoints") == [{"n": 0}]


def test_a_class_that_comes_later_does_not_stop_an_adapter(folder: Path) -> None:
    text = settings("text-classification", steps=20)
    run(folder, "train", text=text)
    lines = [json.dumps({"text": f"star comet planet orbit moon {number}", "topic": "sky"}) for number in range(40)]
    (folder / "9.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(folder, "ingest", "dedup", "snapshot", "train")
    found = ask(folder, "SELECT number, classes FROM checkpoints ORDER BY number")
    assert [(row["number"], sorted(row["classes"])) for row in found] == [
        (1, ["land", "sea"]),
        (2, ["land", "sea", "sky"]),
    ]
    assert ask(folder, "SELECT count(*) AS n FROM promotions")[0]["n"] >= 1


def test_a_promotion_meanwhile_keeps_the_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is stale then, and nobody has fitted anything: the next run has only to judge anew."""
    run(folder, "train", text=settings())
    write_notes(folder, 40, seed=7)
    run(folder, "ingest", "dedup", "snapshot")
    project = opened(folder)
    commit = project.store.commit

    def stale_once(write: Any) -> Any:
        monkeypatch.undo()
        commit(replace(write, tables={}, cursors=[write.cursors[1]]))
        return commit(write)

    monkeypatch.setattr(type(project.store), "commit", lambda _, write: stale_once(write))
    report = run_step(project, step_named("train"), QUIET)
    assert "judged again" in " ".join(report.notes)
    assert list((project.store_folder / "fits").iterdir())
    assert run(folder, "train")["train"].done == 1


def test_why_tells_of_the_adapter_that_saw_an_item_without_a_label(folder: Path) -> None:
    run(folder, "train", text=settings())
    [item] = ask(folder, "SELECT item_id FROM snapshot_items WHERE split = 'train' ORDER BY item_id LIMIT 1")
    project = opened(folder)
    with project.reader() as reader:
        assert "adapter:style" in str(explain(reader, item["item_id"])["checkpoints"])


def test_a_full_disk_keeps_the_last_good_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from curate.learners.adapters import checkpoints as checkpoints_module

    written: list[Path] = []
    write = checkpoints_module._write_down

    def fill(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write(path, content)

    monkeypatch.setattr(checkpoints_module, "_write_down", fill)
    with pytest.raises(StoreError, match=r"cannot be written: .*No space left"):
        run(folder, "train")
    monkeypatch.undo()
    assert run(folder, "train")["train"].done == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda text: text.replace('base = "base"', 'base = "gone"'), ConfigurationError, "no base model at"),
        (lambda text: text.replace('"lora"', '"loar"'), UnknownNameError, "unknown method of fine-tuning 'loar'"),
        (lambda text: text.replace("passes = 20", "pases = 20"), UnknownNameError, "parameter 'pases'"),
        (lambda text: text.replace('"lora"', '"lora"\nlength = 65'), ConfigurationError, "which is 64"),
        (lambda text: text.replace('"lora"', '"lora"\noptions = { rank = 3 }'), UnknownNameError, "'rank'"),
        (lambda text: text.replace('snapshot = "notes"', 'snapshot = "note"'), UnknownNameError, "'note'"),
        (
            lambda text: text.replace('name = "notes"\nlabel', 'name = "notes"\nmodality = "image"\nlabel'),
            ConfigurationError,
            "needs the column 'text'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, change: Callable[[str], str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(folder, "train", text=change(settings()))


def test_a_classifier_needs_labels_and_no_tokens(folder: Path) -> None:
    text = settings("text-classification")
    with pytest.raises(ConfigurationError, match="needs labels, and snapshot 'notes' has none"):
        opened(folder, text.replace('name = "notes"\nlabel = "topic"', 'name = "notes"'))
    with pytest.raises(ConfigurationError, match="tokens end the fit of a language model only"):
        opened(folder, text.replace('method = "lora"', "tokens = 3"))
    images = settings("image-classification").replace(
        'name = "notes"\nlabel', 'name = "notes"\nmodality = "image"\nlabel'
    )
    with pytest.raises(ConfigurationError, match="images have none"):
        opened(folder, images.replace('method = "lora"', "length = 7"))
    with pytest.raises(ConfigurationError, match="cannot be fitted to a classifier"):
        run(folder, "train", text=text.replace('"lora"', '"prompt"'))


def test_a_text_longer_than_the_network_is_refused_unless_cut(folder: Path) -> None:
    long = " ".join(["sail"] * 70)
    (folder / "long.jsonl").write_text(json.dumps({"text": long, "topic": "sea"}) + "\n", encoding="utf-8")
    text = settings("text-classification").replace("splits = {", "splits = { train = 1.0 } #")
    with pytest.raises(ConfigurationError, match="an example of 70 tokens"):
        run(folder, "ingest", "snapshot", "train", text=text)
    report = run(folder, "train", text=text.replace('"lora"', '"lora"\nlength = 32'))["train"]
    assert "style: 1 texts were cut to 32 tokens" in report.notes
    assert any("the split 'validation' is empty" in note for note in report.notes)
