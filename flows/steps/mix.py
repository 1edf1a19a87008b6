"""The step `mix`: one order of the items for several targets, by turns, which any limit or budget may end."""

import time

import numpy as np
import pyarrow as pa

from curate.flows.project import Project, parameters_hash
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.turns import gone, places, with_turn
from curate.select.budgets import in_turns
from curate.select.tokens import find_tokenizer
from curate.settings import MixSettings
from curate.store.mixing import grades, last_graded, uncounted
from curate.store.pool import standing
from curate.store.snapshots import token_scores
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress, StepReport, Tokenizer

_STEP, _METHOD = "mix", "turns:1"
_OFF = "no parts in [mix]"
_COUNTED_ROWS = 5_000


class MixStep:
    """Scores by the selector `mix`: the first in the order has 0, the next -1, and so on.

    Whenever a selector has given new scores, or a decision was taken, all are ordered anew, and each order has a
    version of its own. Items that a step dropped have no turn. Memory: some 100 bytes an item and selector.
    """

    name = _STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that would be ordered anew."""
        settings = project.settings.mix
        if not settings.parts:
            return Plan(self.name, 0, 0, notes=(_OFF,))
        tokenizer = _tokenizer(project, settings)
        with project.reader() as reader:
            if cursor(reader, _STEP) == _goal(settings, tokenizer, last_graded(reader, list(settings.parts))):
                return Plan(self.name, 0, 0)
            found = grades(reader, list(settings.parts), "items", "")
        return Plan(self.name, len(found["item_id"].unique()), 0, notes=tuple(_unscored(found, settings)))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Order what there is, if anything has changed."""
        began = time.perf_counter()
        settings = project.settings.mix
        if not settings.parts:
            return step_report(self.name, began, notes=(_OFF,))
        tokenizer = _tokenizer(project, settings)
        with project.reader() as reader:
            before, last = cursor(reader, _STEP), last_graded(reader, list(settings.parts))
        goal = _goal(settings, tokenizer, last)
        if before == goal:
            return step_report(self.name, began)
        if tokenizer:
            _count(project, settings, tokenizer)
        with project.reader() as reader:
            found = grades(reader, list(settings.parts), settings.unit, tokenizer.version if tokenizer else "")
            version, before_it = with_turn(reader, _STEP, goal), standing(reader, _STEP)
        ids = _ordered(found, settings)
        write = Write(
            _STEP, {"scores": _rows(ids, gone(before_it, ids), version)}, [CursorMove(_STEP, "", before, goal)]
        )
        stale = project.store.commit(write).stale
        left = len(found["item_id"].unique()) - len(ids)
        notes = _unscored(found, settings) + ([f"{left} items have no {settings.unit} and no turn"] if left else [])
        return step_report(self.name, began, done=0 if stale else len(ids), notes=tuple(notes))


def _tokenizer(project: Project, settings: MixSettings) -> Tokenizer | None:
    return find_tokenizer(settings.tokenizer, project.path) if settings.tokenizer else None


def _unscored(found: pa.Table, settings: MixSettings) -> list[str]:
    """Say which parts get nothing for want of a score: their selector may be called otherwise, or be off."""
    given = set(found["selector"].unique().to_pylist())
    return [f"no item has a score of {name!r}" for place, name in enumerate(settings.parts) if place not in given]


def _goal(settings: MixSettings, tokenizer: Tokenizer | None, last: int) -> str:
    """Return the version of the order, which is where the cursor stands once it is written."""
    asked = [sorted(settings.parts.items()), settings.unit, tokenizer.version if tokenizer else ""]
    return f"{_METHOD} {parameters_hash(asked)} commit-{last}"


def _count(project: Project, settings: MixSettings, tokenizer: Tokenizer) -> None:
    """Count the tokens that the store does not know; counts are kept, batch by batch."""
    with project.reader() as reader:
        for texts in uncounted(reader, list(settings.parts), tokenizer.version, _COUNTED_ROWS):
            tokens = pa.array(tokenizer.count(texts.column("text").to_pylist()), pa.int64())
            scores = token_scores(texts.column("item_id"), tokens, tokenizer.version)
            project.store.commit(Write(_STEP, {"scores": scores}))


def _ordered(found: pa.Table, settings: MixSettings) -> pa.Array:
    """Return the items' ids in the order of the turns; those without a size have none."""
    found = found.filter(found["size"].is_valid())
    ids = found["item_id"].combine_chunks()
    coded = ids.dictionary_encode()
    places = coded.indices.to_numpy(zero_copy_only=False)
    scores = np.full((len(settings.parts), len(coded.dictionary)), np.nan)
    scores[found["selector"].to_numpy(), places] = found["score"].to_numpy()
    sizes = np.zeros(len(coded.dictionary), np.int64)
    sizes[places] = found["size"].to_numpy()
    return coded.dictionary.take(pa.array(in_turns(scores, sizes, list(settings.parts.values()))))


def _rows(ids: pa.Array, left_out: pa.Array, version: str) -> pa.Table:
    columns = {
        "item_id": pa.concat_arrays([ids, left_out]),
        "selector": _STEP,
        "selector_version": version,
        "target": "",
        "score": places(len(ids), len(left_out)),
    }
    return rows("scores", columns, len(ids) + len(left_out))
