"""The step `fuse`: order the best texts by alignment anew, by relevance and coverage, and compute every ranking."""

import time
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import BadDataError
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.align import AlignStep, read_target
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.rankings import plan_rankings, run_rankings
from curate.flows.steps.turns import gone, places, with_turn
from curate.select.fused import METHOD, fused
from curate.store.mixing import best_texts, grades, last_graded
from curate.store.pool import standing
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress, StepReport

SELECTOR = "fused"
_STEP = "fuse"
_OFF = "no [[ranking]], and candidates = 0 in [fuse] or no [align] target"
_MOST_CHARACTERS = 4_000_000


class _Order(NamedTuple):
    ids: pa.Array
    notes: tuple[str, ...]


class FuseStep:
    """Scores by the selector `fused`: the first in the order has 0, the next -1, and so on; and every ranking's scores.

    The best `candidates` by alignment are ordered by the fused selector; behind them the others stand as alignment has
    them. Whenever alignment has given new scores, or a decision was taken, all are ordered anew, and each order has a
    version of its own. Then come the project's rankings (`curate.flows.steps.rankings`).

    Cost of the selector `fused`: some 4 s and 180 MB for each million characters of candidates, of which 4 million are
    taken at the most; some 100 bytes for every other item.
    """

    name = _STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that would be ordered anew, once for each order."""
        if not (_is_on(project) or project.settings.ranking):
            return Plan(self.name, 0, 0, notes=(_OFF,))
        coming = _planned(project)
        to_do, notes = plan_rankings(project, coming)
        return Plan(self.name, to_do + sum(map(len, coming.values())), 0, notes=notes)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Order what there is, if anything has changed."""
        began = time.perf_counter()
        if not (_is_on(project) or project.settings.ranking):
            return step_report(self.name, began, notes=(_OFF,))
        fused_done, fused_notes = _fuse(project) if _is_on(project) else (0, ())
        done, notes = run_rankings(project)
        return step_report(self.name, began, done=fused_done + done, notes=(*fused_notes, *notes))


def _planned(project: Project) -> dict[str, pa.Array]:
    """Return the ids of the items that would be ordered anew, by the selector, if any would."""
    if not _is_on(project):
        return {}
    with project.reader() as reader:
        if cursor(reader, _STEP) == _goal(project, last_graded(reader, [AlignStep.name])):
            return {}
        return {SELECTOR: grades(reader, [AlignStep.name], "items", "")["item_id"].combine_chunks()}


def _fuse(project: Project) -> tuple[int, tuple[str, ...]]:
    with project.reader() as reader:
        before, goal = cursor(reader, _STEP), _goal(project, last_graded(reader, [AlignStep.name]))
    if before == goal:
        return 0, ()
    order = _ordered(project)
    with project.reader() as reader:
        version, left_out = with_turn(reader, SELECTOR, goal), gone(standing(reader, SELECTOR), order.ids)
    write = Write(
        _STEP, {"scores": _rows(project, order.ids, left_out, version)}, [CursorMove(_STEP, "", before, goal)]
    )
    stale = project.store.commit(write).stale
    return 0 if stale else len(order.ids), order.notes


def _is_on(project: Project) -> bool:
    return bool(project.settings.fuse.candidates and project.settings.align.target)


def _goal(project: Project, last: int) -> str:
    """Return the version of the order, which is where the cursor stands once it is written."""
    return f"{METHOD} {parameters_hash([str(project.settings.fuse.candidates)])} commit-{last}"


def _ordered(project: Project) -> _Order:
    """Return the ids of all texts that have an alignment: the fused order of the best, then the rest."""
    most = project.settings.fuse.candidates
    with project.reader() as reader:
        best = best_texts(reader, AlignStep.name, most, _MOST_CHARACTERS)
        found = grades(reader, [AlignStep.name], "items", "").sort_by(
            [("score", "descending"), ("item_id", "ascending")]
        )
    wanted, notes = min(most, len(found)), list[str]()
    if len(best) < wanted:
        notes.append(
            f"{len(best)} of {wanted} candidates were fused: with the others they hold more than {_MOST_CHARACTERS:,} "
            "characters, and those stand behind them"
        )
    try:
        scores = fused(
            best["text"].to_pylist(), read_target(project).texts, {"alignment": best["score"].to_numpy()}
        ).scores
    except BadDataError as error:
        scores = np.linspace(1, 0, len(best))
        notes.append(f"the order is alignment's: {error.message}")
    first = best["item_id"].take(pa.array(np.argsort(-scores, kind="stable"))).combine_chunks()
    behind = found.filter(pc.invert(pc.is_in(found["item_id"], first)))["item_id"].combine_chunks()
    return _Order(pa.concat_arrays([first, behind]), tuple(notes))


def _rows(project: Project, ids: pa.Array, left_out: pa.Array, version: str) -> pa.Table:
    columns = {
        "item_id": pa.concat_arrays([ids, left_out]),
        "selector": SELECTOR,
        "selector_version": version,
        "target": project.settings.align.target,
        "score": places(len(ids), len(left_out)),
    }
    return rows("scores", columns, len(ids) + len(left_out))
