"""The wheel turns twice with a learner, in processes that are killed on the way: no row is lost or doubled."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curate.store.comparison import differences
from curate.store.reader import Reader

SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"
meta = ["topic"]

[dedup]
near = false

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[annotator]]
name = "words"
kind = "rule"
rules = [
  { attribute = "topic", value = "sea", pattern = "water" },
  { attribute = "topic", value = "land", pattern = "ground" },
]

[[annotator]]
name = "pupil"
kind = "learner"
learner = "topics"

[gate]
enabled = true
people = "oracle:topic"
reserve = 0.4

[[snapshot]]
name = "topics"
label = "topic"
annotators = ["people", "consensus"]
strict = true
splits = { train = 0.9, test = 0.1 }

[[learner]]
name = "topics"
kind = "nearest-class-mean"
snapshot = "topics"
encoder = "hashed-ngrams:128"
"""
RUN = """
import os, signal, sys
from curate.cli import main
from curate.flows.steps import gate, increments, learner_annotators

place, annotating = sys.argv[1], learner_annotators.LearnerAnnotating
annotate, save, batches = annotating.annotate, increments.save_checkpoint, []

def fatal(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def annotate_once(self, *arguments):
    batches.append(self)
    return annotate(self, *arguments) if len(batches) == 1 else fatal()

def save_and_die(*arguments):
    save(*arguments)
    fatal()

annotating.most = 64
if place == "annotate":
    annotating.annotate = annotate_once  # one batch is committed, the second is under way
elif place == "gate":
    gate.simulate = fatal  # the questions are out, and nobody has answered
elif place == "learn":
    increments.save_checkpoint = save_and_die  # the file is there, and no row names it
main(["--quiet", "run"])
"""
WORDS = {
    "sea": ("sail", "anchor", "harbour", "wave", "tide", "gull", "mast", "rudder", "keel", "deck"),
    "land": ("field", "forest", "meadow", "plough", "fence", "barn", "orchard", "horse", "cart", "lane"),
}
SEEN = {"sea": "water", "land": "ground"}


def arrive(folder: Path, name: str, count: int = 200) -> None:
    """Write notes whose words tell their topic, and whose rule's word tells the wrong one in three of ten."""
    chance = random.Random(name)
    lines = []
    for number in range(count):
        topic = chance.choice(("sea", "land"))
        seen = topic if chance.random() < 0.7 else {"sea": "land", "land": "sea"}[topic]
        text = f"{name} {number}: {SEEN[seen]} {' '.join(chance.choices(WORDS[topic], k=6))}"
        lines.append(json.dumps({"text": text, "topic": topic}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(folder: Path, killed_at: str = "") -> None:
    """Walk once in a process of its own, which does not survive the place where it is to be killed."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, killed_at],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == (-signal.SIGKILL if killed_at else 0), done.stderr


def turn(folder: Path, disturbed: Path, name: str, killed_at: str) -> None:
    """Let the same items arrive at both projects; one walks, the other is killed and walks again."""
    arrive(folder, name)
    shutil.copy2(folder / f"{name}.jsonl", disturbed)
    run(folder)
    run(disturbed, killed_at)
    run(disturbed)


def ask(folder: Path, sql: str) -> list[dict[str, Any]]:
    with Reader(folder / "curate-store") as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_turns_twice_and_survives_kills(tmp_path: Path) -> None:
    folder, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for place in (folder, disturbed):
        place.mkdir()
        (place / "curate.toml").write_text(SETTINGS, encoding="utf-8")
    for place in (folder, disturbed):
        arrive(place, "first")
        os.utime(place / "first.jsonl", ns=(0, 0))
        run(place)
    turn(folder, disturbed, "second", "annotate")
    turn(folder, disturbed, "third", "annotate")
    with Reader(folder / "curate-store") as one, Reader(disturbed / "curate-store") as other:
        assert differences(one, other) == []
    check_that_it_turned(disturbed)
    check_that_nothing_is_doubled(disturbed)

    for name, killed_at in (("fourth", "learn"), ("fifth", "gate")):
        arrive(disturbed, name)
        learned = "FROM checkpoints WHERE learner = 'topics'"
        before = ask(disturbed, learned)
        run(disturbed, killed_at)
        assert ask(disturbed, learned) == before
        run(disturbed)  # simulated people answer at once, so from the gate on this is the next turn
        assert len(ask(disturbed, learned)) > len(before)
        check_that_nothing_is_doubled(disturbed)


def check_that_it_turned(folder: Path) -> None:
    """The learner's claims came from two checkpoints, were audited, and what arrived last was annotated rightly."""
    versions = ask(folder, "SELECT DISTINCT annotator_version AS v FROM annotations WHERE annotator = 'pupil'")
    first, second, *_ = ask(folder, "FROM checkpoints WHERE learner = 'topics' ORDER BY number")
    assert {row["v"].partition("+")[0] for row in versions} == {first["checkpoint"][:16], second["checkpoint"][:16]}
    assert second["parent"] == first["checkpoint"]
    assert second["items"] > 50
    looks = ask(folder, "SELECT DISTINCT look FROM gates WHERE annotator = 'pupil' AND audited > 0")
    assert len(looks) >= 2
    assert len(ask(folder, "SELECT DISTINCT round FROM queue")) >= 3
    assert ask(folder, "FROM consensus WHERE votes > 1")
    assert ask(folder, "FROM metrics WHERE subject LIKE 'calibration of pupil%'")
    [rightly] = ask(
        folder,
        """SELECT avg((value = json_extract_string(metadata, '$.topic'))::INT) AS share, count(*) AS claims
        FROM annotations JOIN origins USING (item_id) WHERE annotator = 'pupil' AND locator LIKE '%third%'""",
    )
    assert rightly["claims"] == 200
    assert rightly["share"] > 0.85


def check_that_nothing_is_doubled(folder: Path) -> None:
    """Each checkpoint spoke once about an item, taught items were not annotated, and audits taught nothing."""
    twice = """
        SELECT item_id FROM annotations WHERE annotator = 'pupil'
        GROUP BY item_id, annotator_version HAVING count(*) > 1"""
    assert ask(folder, twice) == []
    assert ask(folder, "FROM snapshot_items SEMI JOIN audits USING (item_id)") == []
    taught = ask(folder, "SELECT DISTINCT item_id FROM snapshot_items WHERE split = 'train' AND label IS NOT NULL")
    [learned] = ask(folder, "SELECT sum(items) AS items FROM checkpoints WHERE learner = 'topics'")
    assert learned["items"] == len(taught)
    early = """
        SELECT a.item_id FROM annotations a JOIN checkpoints c ON (starts_with(a.annotator_version, c.checkpoint[:16]))
        JOIN snapshot_items s ON (s.item_id = a.item_id AND s.number <= c.number AND s.split = 'train')
        WHERE a.annotator = 'pupil' AND c.learner = 'topics'"""
    assert ask(folder, early) == []
