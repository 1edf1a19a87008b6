"""A new version of the protocol: which questions it asks anew, of a model and a person, and which it must ask.

Items of a hidden truth (`benchmarks/harness/hidden_truth.py`) are annotated over an embedded store by a fake language
model, and then by a person on the labelling page's office; both tell the truth. Then the protocol changes, in one of
the ways of `benchmarks/harness/protocol_kinds.py`, with the migration that the documentation asks for, and both are
asked again: by the step `annotate`, whose requests the fake model counts, and by the office until it has no question.

A question must be asked where it applies in the new version and the old answers leave more than one new answer
possible. That is found from the hidden truth by trying all that could be, and not from the migration. Each kind of
change has a bar: of the questions asked that need not be, those asked twice, and those that had to be and were not,
there are none; so asked is needed, question by question, and the ratio is 1. Another bar is on what stands in the store
afterwards: both have a true answer to each question of the new version.

The model and the person never err and never abstain. Audits of the gate, which belong to a version of the protocol, are
not in it. What no migration can say is not, either: where a merged value gives a part to another, both that it was
merged of give something. Of a version that a store never used, nothing but its migrations is known: what its wording,
or a value that it added, would have asked anew is not asked where it was skipped, and no kind here is of that sort.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import protocol_kinds as kinds
from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.hidden_truth import Item, Meanings, Place, drawn_items, drawn_protocol, needed, questions
from benchmarks.harness.truthful_model import TruthfulModel, item_number, item_text, truthful_model
from curate.annotate.page.office import Office
from curate.flows.labelling import StoreDesk
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.annotators import project_protocol
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.label import LabelStep
from curate.settings import load_settings
from curate.types import SilentProgress

PACKAGES = ("curate", "duckdb", "pyarrow")
SEEDS, QUICK_SEEDS = 5, 1
ITEMS, QUICK_ITEMS = 60, 20
MODEL, PERSON = "model", "person"
QUIET = SilentProgress()
Asked = Mapping[str, Counter[Place]]
"""How often each question was asked, by who was asked."""
Tried = Mapping[str, Sequence[kinds.Kind]]

_EITHER: Mapping[str, Callable[..., kinds.Changed]] = {
    "value renamed": kinds.value_renamed,
    "two values merged": kinds.values_merged,
    "value split": kinds.value_split,
    "value added that any item may have": kinds.value_added,
    "value added that was part of another": kinds.value_added_within,
    "value taken away": kinds.value_taken_away,
    "description with another meaning": kinds.description_changed,
    "all descriptions with another meaning": kinds.descriptions_changed,
    "description in other words": kinds.description_reworded,
    "part of a value given to another": kinds.border_moved,
    "attribute added": kinds.attribute_added,
}
KINDS: Tried = {
    **{name: [kind] for name, kind in _EITHER.items()},
    **{f"{name}, of several values": [partial(kind, multiple=True)] for name, kind in _EITHER.items()},
    "attribute renamed": [kinds.attribute_renamed],
    "attribute added that depends on two": [kinds.attribute_added_where],
    "attribute taken away": [kinds.attribute_taken_away],
    "applies to fewer": [kinds.applies_to_fewer],
    "applies to more": [kinds.applies_to_more],
    "applies everywhere": [kinds.applies_everywhere],
    "applies no longer everywhere": [kinds.applies_no_longer_everywhere],
    "applies elsewhere": [kinds.applies_elsewhere],
    "value split that another applies to": [kinds.parent_split],
    "several changes in a version": [kinds.several_at_once],
    "split, then renamed": [kinds.value_split, kinds.attribute_renamed],
    "split, then merged again": [kinds.value_split, kinds.halves_merged],
    "split, then a half taken away": [kinds.value_split, kinds.half_taken_away],
    "merged, border moved, then renamed": [kinds.values_merged, kinds.border_moved, kinds.value_renamed],
    "merged, asked, then another meaning": [kinds.values_merged, partial(kinds.description_changed, at=kinds.EITHER)],
    "applies to fewer, asked, then to more": [kinds.applies_to_fewer, kinds.applies_to_more],
}
"""The changes, version by version."""
QUICK_KINDS = (*_EITHER, "attribute renamed", "applies to fewer", "applies to more")
ASKED_BETWEEN = " asked, "
"""In the name of a kind says that each of its versions is asked; else the first and the last are."""


@dataclass(slots=True)
class Tally:
    """What a kind of change asked of one who is asked, over all seeds."""

    all: int = 0
    needed: int = 0
    asked: int = 0
    needless: int = 0
    missed: int = 0
    untrue: int = 0

    def add(self, every: set[Place], must: set[Place], asked: Counter[Place], untrue: int) -> None:
        """Add a change."""
        self.all += len(every)
        self.needed += len(must)
        self.asked += asked.total()
        self.needless += asked.total() - len(must & asked.keys())
        self.missed += len(must - asked.keys())
        self.untrue += untrue


def run(options: Options) -> Result:
    """Change a protocol in every way, on other data for each seed."""
    seeds, count = (QUICK_SEEDS, QUICK_ITEMS) if options.quick else (SEEDS, ITEMS)
    tried = {kind: KINDS[kind] for kind in (QUICK_KINDS if options.quick else KINDS)}
    tallies = {(kind, who): Tally() for kind in tried for who in (MODEL, PERSON)}
    for number in range(seeds):
        seed = 100 * options.seed + number
        _seed(seed, count, tried, tallies)
        options.note(f"seed {seed}: done")
    bars = [_bar(kind, [tallies[kind, who] for who in (MODEL, PERSON)]) for kind in tried]
    untrue = sum(one.untrue for one in tallies.values())
    bars.append(Bar("answers to the new version missing or untrue", untrue, 0, "<="))
    rows = [_row(kind, who, tally) for (kind, who), tally in tallies.items()]
    return Result(bars, rows, {"seeds": seeds, "items": count}, PACKAGES)


def _seed(seed: int, count: int, tried: Tried, tallies: Mapping[tuple[str, str], Tally]) -> None:
    """Annotate under a first version, and under every change of it in a copy of that store."""
    random = Random(seed)
    items, old = drawn_items(count, random), drawn_protocol(random)
    with TemporaryDirectory() as folder, truthful_model(_truth(old, items)) as model:
        first = Path(folder) / "first"
        first.mkdir()
        lines = [json.dumps({"text": item_text(number)}) for number in range(count)]
        (first / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        project = _project(first, model, old, [])
        IngestStep().run(project, QUIET)
        every = questions(old, items)
        assert all(asked == Counter(every) for asked in _asked(project, model).values())
        for place, (kind, changes) in enumerate(tried.items()):
            copy = Path(shutil.copytree(first, Path(folder) / f"change {place}"))
            versions, migrations = _changed(old, changes, Random(f"{seed} {kind}"))
            known, new = (versions[:-1] if ASKED_BETWEEN in kind else versions[:1]), versions[-1]
            for number in range(2, len(known) + 1):
                model.truth = _truth(known[number - 1], items)
                _asked(_project(copy, model, known[number - 1], migrations[: number - 1]), model)
            model.truth = _truth(new, items)
            project = _project(copy, model, new, migrations)
            for who, asked in _asked(project, model).items():
                untrue = _untrue(project, who, new, items)
                tallies[kind, who].add(questions(new, items), needed(known, new, items), asked, untrue)


def _changed(
    meanings: Meanings, changes: Sequence[kinds.Kind], random: Random
) -> tuple[list[Meanings], list[kinds.Migration]]:
    """Change a protocol version by version; return all of them, and the migrations."""
    versions, migrations = [meanings], []
    for version, change in enumerate(changes, 1):
        meanings, migration = change(meanings, random)
        versions.append(meanings)
        migrations.append({"from_version": str(version), "to_version": str(version + 1)} | migration)
    return versions, migrations


def _truth(meanings: Meanings, items: Sequence[Item]) -> Any:
    by_name = {one.name: one for one in meanings}
    return lambda number, name: by_name[name].answer(items[number])


def _project(folder: Path, model: TruthfulModel, meanings: Meanings, migrations: Sequence[kinds.Migration]) -> Project:
    """Write the settings; the version is the number of migrations that lead to it, and one."""
    lines = ["[[source]]", 'name = "texts"', 'path = "texts.jsonl"', "[protocol]", 'name = "clothes"']
    lines += [f'version = "{len(migrations) + 1}"', f"attribute = {_toml([one.settings() for one in meanings])}"]
    lines += [f"migration = {_toml(migrations)}", "[[annotator]]", f'name = "{MODEL}"', 'kind = "llm"']
    lines += [f"attributes = {_toml([one.name for one in meanings])}"]
    lines += [f'address = "{model.address}"', 'model = "fake"']
    file = folder / "curate.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Project(folder, load_settings(file, {}), command="benchmark")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _asked(project: Project, model: TruthfulModel) -> Asked:
    """Ask the model, then the person until there is no question; return what was asked of them."""
    model.forget()
    report = AnnotateStep().run(project, QUIET)
    assert not report.failed, report
    of_person: Counter[Place] = Counter()
    while some := _office_hours(project, model, len(of_person)):
        of_person += some
        LabelStep().run(project, QUIET)
    return {MODEL: model.asked, PERSON: of_person}


def _office_hours(project: Project, model: TruthfulModel, answers: int) -> Counter[Place]:
    """Let the person answer what the page's office asks for, until it asks nothing."""
    asked: Counter[Place] = Counter()
    with closing(StoreDesk(project)) as desk:
        office = Office(desk, project_protocol(project))
        while question := office.next_question(PERSON):
            content = desk.content(question.item_id)
            assert content is not None
            place = item_number(content.text), question.attribute
            name = f"{office.protocol.version} {answers + len(asked)}"
            value = model.truth(*place)
            office.answer(PERSON, (question.item_id, question.attribute), value=value, answer_id=name)
            asked[place] += 1
    return asked


def _untrue(project: Project, who: str, meanings: Meanings, items: Sequence[Item]) -> int:
    """Count the questions of a version to which somebody has no answer in the store, or another than the true one."""
    with project.reader() as reader:
        found = reader.query(
            "SELECT i.text, a.attribute, a.value FROM annotations a JOIN items i USING (item_id) "
            "WHERE a.annotator = ? AND a.protocol_version = ? ORDER BY a.commit_number",
            [who, project.settings.protocol.version],
        ).to_pylist()
    said = {(item_number(row["text"]), row["attribute"]): row["value"] for row in found}
    truth = _truth(meanings, items)
    return sum(said.get(place) != truth(*place) for place in questions(meanings, items))


def _row(kind: str, who: str, tally: Tally) -> dict[str, object]:
    return {
        "change": kind,
        "asked is": who,
        "questions": tally.all,
        "needed": tally.needed,
        "asked": tally.asked,
        "needlessly": tally.needless,
        "missed": tally.missed,
        "untrue": tally.untrue,
    }


def _bar(kind: str, tallies: Sequence[Tally]) -> Bar:
    return Bar(f"{kind}: questions asked needlessly or missed", sum(one.needless + one.missed for one in tallies), 0,
               "<=")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main("protocol_changes", run))
