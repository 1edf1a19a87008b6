"""Walks the whole loop over real data of this machine: five thousand texts, and digits that arrive in increments."""

from __future__ import annotations

import time
from pathlib import Path

from curate.demo import digits, inbox, language_model
from curate.demo.summary import Summary, Walk
from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps.report import collect
from curate.settings import load_settings
from curate.types import Progress


def run_demo(folder: Path, progress: Progress) -> Summary:
    """Write a project into `folder`, feed it in five increments, walk the loop after each, and sum up what happened.

    Nothing is fetched from a network, unless the environment names a language model. A second run in the same folder
    finds nothing new; one after an interruption goes on where it stopped. Cost: about two minutes on two cores, the
    language model's forty answers the larger part of it; the texts stay below 200 MB of memory.

    Raises:
        UsageError: the folder holds a project that the demo did not write.
        MissingExtraError: a package that the demo needs is not installed.
    """
    began = time.perf_counter()
    model = language_model.choose()
    is_new = inbox.write_project(folder, model)
    notes = (model.note,) if is_new else ()
    for note in notes:
        progress.note(note)
    inbox.deliver_texts(folder, progress)
    project = Project(folder, load_settings(folder / inbox.PROJECT_FILE), "curate demo")
    walks = _walks(project, progress, is_new)
    with project.reader() as reader:
        data = collect(project, reader)
    return Summary(folder, data, walks, notes, time.perf_counter() - began)


def plan_demo(folder: Path) -> dict[str, str | int]:
    """Say what `run_demo` would do there: whether the project is new, the increments left, the language model asked."""
    left = sum(not digits.arrived(folder / "inbox", classes) for classes in digits.INCREMENTS)
    project = "is there, and goes on" if (folder / inbox.PROJECT_FILE).exists() else "is to be written"
    return {"folder": str(folder), "project": project, "increments left": left, "note": language_model.choose().note}


def _walks(project: Project, progress: Progress, is_new: bool) -> tuple[Walk, ...]:
    walks: list[Walk] = []
    folder = project.folder / "inbox"
    for place, classes in enumerate(digits.INCREMENTS):
        if digits.arrived(folder, classes):
            continue
        if place and not is_new and not walks:
            walks.append(_walk(project, progress, "what an interrupted demo had left"))
        names = " and ".join(map(str, classes))
        what = f"digits {names}" if place else f"all texts, unlabelled digits, digits {names}"
        progress.note(f"increment {place + 1} of {len(digits.INCREMENTS)}: {what}")
        digits.deliver_unlabelled(folder)
        digits.deliver(folder, classes)
        walks.append(_walk(project, progress, what))
    return tuple(walks) or (_walk(project, progress, "nothing was added"),)


def _walk(project: Project, progress: Progress, what: str) -> Walk:
    return Walk(what, tuple(run_sequence(project, progress)))
