"""The rankings of a project, kept in the store: each is computed anew when what it is made of has changed.

Cost: importance and TF-IDF read every text that no step has dropped twice, once to know the pool and once to score,
and again whenever items came or a decision was taken, for a score is relative to the pool. On two busy cores 50,000
texts of a kilobyte, in which hardly a pair of words comes twice (the worst case), took 34 s and 6 s. Length and random
score new items only, in 2 s. Fusions and passes read the scores they are made of, and a pass its candidates' texts or
vectors: near-duplicates some 15 µs a kilobyte, the entropy law some 0.13 s for each of its chosen, facility location
some 5 candidates x candidates x dimensions multiplications.

Memory: 5,000 texts at a time; some 200 bytes for each item that is ranked and each selector of a fusion; of a pass at
most 4 million characters of candidates, or their vectors and 20 bytes for candidates x candidates / chosen.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import BadDataError
from curate.flows.project import Project
from curate.flows.steps.align import Target, read_target_at
from curate.flows.steps.base import BATCH_ROWS
from curate.flows.steps.ranking_ways import (
    Scores,
    fused_by,
    in_places,
    observe,
    passed_by,
    scorer_of,
    scores_by,
    version_of,
    with_vector,
)
from curate.flows.steps.turns import gone
from curate.learners.encoders.factory import encoder_named
from curate.settings import RankingSettings
from curate.settings.ranking import FUSIONS, TARGETED, in_order
from curate.store import pool
from curate.store.embeddings import kept_embeddings
from curate.store.mixing import best_texts, grades, last_graded
from curate.store.reader import Reader
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows
from curate.types import MODALITIES

_STEP = "fuse"
_ROWS = BATCH_ROWS
_MOST_CHARACTERS = 4_000_000
_TURN, _COMMIT = " turn-", " commit-"
"""A ranking that goes back to an older method takes a new turn: the store keeps a score of one version once."""


class Ranked(NamedTuple):
    """The items of a ranking with their scores, NaN for those that are never chosen, and what a person should know."""

    ids: pa.Array
    scores: Scores
    notes: tuple[str, ...] = ()


class _Due(NamedTuple):
    """A ranking whose scores are to be computed: of items that came after a commit, where others keep theirs.

    `told` is what a person should know of how its target was read.
    """

    ranking: RankingSettings
    targets: tuple[str, ...]
    encoder: str
    version: str
    move: CursorMove
    after: int
    told: tuple[str, ...]


def plan_rankings(project: Project, coming: Mapping[str, pa.Array]) -> tuple[int, tuple[str, ...]]:
    """Count the scores that would be computed anew, as far as that can be told before any is.

    What starts from scores that are themselves due is due with them, for the items that these will have. `coming` are
    the ids of those items by the other selectors that are computed before.
    """
    due_ids, to_do, notes = dict(coming), 0, list[str]()
    needed = {selector for ranking in project.settings.ranking for selector in ranking.of}
    with project.reader() as reader:
        for ranking in _ordered(project):
            due = _due(project, reader, ranking)
            if ranking.of and (due or not due_ids.keys().isdisjoint(ranking.of)):
                ids = due_ids[ranking.selector] = _ids_of_inputs(reader, ranking, due_ids)
                to_do += len(ids)
                notes += _unscored(reader, ranking, due_ids)
            elif due:
                to_do += _count(reader, due)
                notes += due.told
                if ranking.selector in needed:
                    due_ids[ranking.selector] = pool.ids_left(reader, _modalities(ranking))
    return to_do, tuple(dict.fromkeys(notes))


def run_rankings(project: Project) -> tuple[int, tuple[str, ...]]:
    """Compute and commit each ranking of which something has changed; return how many scores that were, and notes."""
    done, notes = 0, list[str]()
    for ranking in _ordered(project):
        with project.reader() as reader:
            due = _due(project, reader, ranking)
            if due is None:
                continue
            ranked = _ranked(project, reader, due)
            written = _rows(project, due, _with_taken_back(reader, due, ranked))
        write = Write(_STEP, {"scores": written}, [due.move])
        done += 0 if project.store.commit(write).stale else len(ranked.ids)
        notes += [*due.told, *(f"ranking {ranking.name!r}: {note}" for note in ranked.notes)]
    return done, tuple(dict.fromkeys(notes))


def target_of(project: Project, ranking: RankingSettings) -> str:
    """Return the address of the texts that a ranking is to be like, "" where it is to be like none."""
    return (ranking.target or project.settings.align.target) if ranking.by in TARGETED else ""


def vectors_of(project: Project, reader: Reader, ranking: RankingSettings, ids: list[str]) -> NDArray[np.float32]:
    """Return the kept vectors of items by the ranking's encoder, zeros where there is none."""
    known, features = kept_embeddings(reader, _encoder(project, ranking), ids)
    vectors = np.zeros((len(ids), max(features.shape[1], 1)), np.float32)
    place = {item_id: number for number, item_id in enumerate(ids)}
    if known:
        vectors[[place[item_id] for item_id in known]] = features
    return vectors


def _ordered(project: Project) -> list[RankingSettings]:
    return in_order(project.settings.ranking, "curate.toml")


def _due(project: Project, reader: Reader, ranking: RankingSettings) -> _Due | None:
    address = target_of(project, ranking)
    target = read_target_at(str(project.path(address)), address) if address else Target(())
    targets = tuple(target.texts)
    encoder = _encoder(project, ranking)
    version = version_of(ranking, targets, encoder)
    before = cursor(reader, _STEP, ranking.name)
    passed, _, commit = before.rpartition(_COMMIT)
    known, _, turn = passed.rpartition(_TURN)
    called = f"{version}{_TURN}{int(turn or 0) + (known != version)}"
    goal = f"{called}{_COMMIT}{_last(reader, ranking, encoder)}"
    if before == goal:
        return None
    alone = ranking.by in ("length", "random")
    after = int(commit) if alone and passed == called else 0
    move = CursorMove(_STEP, ranking.name, before, goal)
    return _Due(ranking, targets, encoder, called if alone else goal, move, after, target.notes)


def _encoder(project: Project, ranking: RankingSettings) -> str:
    """Return the version of the encoder whose vectors a ranking looks at, "" where it looks at none."""
    if ranking.by != "facility-location":
        return ""
    return encoder_named(ranking.encoder or project.settings.embed.encoders[0], project.folder).version


def _modalities(ranking: RankingSettings) -> tuple[str, ...]:
    return MODALITIES if ranking.by == "random" else ("text",)


def _last(reader: Reader, ranking: RankingSettings, encoder: str) -> int:
    """Return the last commit that changed what a ranking is made of."""
    if ranking.of:
        return max(last_graded(reader, ranking.of), pool.last_embedded(reader, encoder) if encoder else 0)
    arrived = pool.last_arrived(reader, _modalities(ranking))
    return max(arrived, pool.last_decided(reader)) if ranking.by in TARGETED else arrived


def _count(reader: Reader, due: _Due) -> int:
    if due.ranking.by in TARGETED:
        return pool.count_left(reader)
    return pool.count_arrived(reader, _modalities(due.ranking), due.after)


def _ids_of_inputs(reader: Reader, ranking: RankingSettings, due_ids: Mapping[str, pa.Array]) -> pa.Array:
    """Return the ids of the items that a ranking's inputs have, and those that are due will have."""
    known = grades(reader, [name for name in ranking.of if name not in due_ids], "items", "")["item_id"]
    return pa.concat_arrays(
        [known.combine_chunks(), *(due_ids[name] for name in ranking.of if name in due_ids)]
    ).unique()


def _unscored(reader: Reader, ranking: RankingSettings, due_ids: Mapping[str, pa.Array]) -> list[str]:
    """Say which selectors bring nothing, and none that is due: they may be called otherwise, or be off."""
    asked = [name for name in ranking.of if not len(due_ids.get(name, ()))]
    missing = [name for name in asked if not len(grades(reader, [name], "items", ""))]
    return [f"no item has a score of {name!r}" for name in missing]


def _ranked(project: Project, reader: Reader, due: _Due) -> Ranked:
    ranking = due.ranking
    if not ranking.of:
        return _by_texts(reader, due)
    ranked = _by_scores(reader, ranking) if ranking.by in FUSIONS else _by_pass(project, reader, ranking)
    return ranked._replace(notes=(*_unscored(reader, ranking, {}), *ranked.notes))


def _by_texts(reader: Reader, due: _Due) -> Ranked:
    """Score in two passes over the pool where it matters, and in one where not."""
    scorer = scorer_of(due.ranking, due.targets)
    if due.ranking.by in TARGETED:
        for batch in _batches(reader, due):
            observe(scorer, batch)
    ids, scores = [pa.array([], pa.string())], [np.zeros(0)]
    try:
        for batch in _batches(reader, due):
            scores.append(scores_by(due.ranking, scorer, pa.Table.from_batches([batch])))
            ids.append(batch.column("item_id"))
    except BadDataError as error:
        return Ranked(ids[0], scores[0], (f"nothing is ranked: {error.message}",))
    return Ranked(pa.concat_arrays(ids), np.concatenate(scores))


def _batches(reader: Reader, due: _Due) -> Iterator[pa.RecordBatch]:
    if due.ranking.by in TARGETED:
        return pool.texts_left(reader, _ROWS)
    return pool.items_arrived(reader, _modalities(due.ranking), due.after, _ROWS)


def _by_scores(reader: Reader, ranking: RankingSettings) -> Ranked:
    found = grades(reader, ranking.of, "items", "")
    coded = found["item_id"].combine_chunks().dictionary_encode()
    lists = np.full((len(ranking.of), len(coded.dictionary)), np.nan)
    places = coded.indices.to_numpy(zero_copy_only=False)
    lists[found["selector"].to_numpy(), places] = found["score"].to_numpy()
    if not len(coded.dictionary):
        return Ranked(coded.dictionary, np.zeros(0))
    return Ranked(coded.dictionary, fused_by(ranking, dict(zip(ranking.of, lists, strict=True))))


def _by_pass(project: Project, reader: Reader, ranking: RankingSettings) -> Ranked:
    """Order the best anew; the others, and candidates that do not fit into the bound, follow as they were."""
    ordered = grades(reader, ranking.of, "items", "").sort_by([("score", "descending"), ("item_id", "ascending")])
    ids = ordered["item_id"].combine_chunks()
    wanted = min(ranking.candidates, len(ids))
    if ranking.by == "facility-location":
        places = np.arange(wanted)
        vectors = vectors_of(project, reader, ranking, ids[:wanted].to_pylist())
        passed = passed_by(ranking, [], vectors, ranking.chosen)
        missing, why = wanted - len(with_vector(vectors)), "have no vector by the encoder, and are not chosen"
    else:
        best = best_texts(reader, ranking.of[0], ranking.candidates, _MOST_CHARACTERS)
        places = np.flatnonzero(pc.is_in(ids, best["item_id"].combine_chunks()).to_numpy(zero_copy_only=False))
        passed = passed_by(ranking, best["text"].to_pylist(), None, ranking.chosen)
        missing, why = wanted - len(best), f"do not fit: together they hold more than {_MOST_CHARACTERS:,} characters"
    order = in_places(len(ids), passed._replace(front=places[passed.front], back=places[passed.back]))
    notes = (f"{missing} of {wanted} candidates {why}",) if missing else ()
    return Ranked(ids.take(pa.array(order)), -np.arange(len(ids), dtype=np.float64), notes)


def _with_taken_back(reader: Reader, due: _Due, ranked: Ranked) -> Ranked:
    """Add NaN for the items that an earlier definition or pool has scored, and this one does not: a newer row counts.

    Cost: one pass over the selector's scores, where not only new items are scored.
    """
    if due.after:
        return ranked
    left_out = gone(pool.standing(reader, due.ranking.selector), ranked.ids)
    scores = np.concatenate([ranked.scores, np.full(len(left_out), np.nan)])
    return ranked._replace(ids=pa.concat_arrays([ranked.ids, left_out]), scores=scores)


def _rows(project: Project, due: _Due, ranked: Ranked) -> pa.Table:
    columns = {
        "item_id": ranked.ids,
        "selector": due.ranking.selector,
        "selector_version": due.version,
        "target": target_of(project, due.ranking),
        "score": ranked.scores,
    }
    return rows("scores", columns, len(ranked.ids))
