"""A ranking, or a mix, on a sample of its candidates: what it would have chosen, with half of the targets.

So it can be put beside the baselines, which choose from the same sample with the same half. What a pass looks at
shrinks with the sample; that leaves few near-duplicates in it, so a pass is rather shown too plain than too good.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import pyarrow as pa

from curate.flows.project import Project
from curate.flows.steps.align import AlignStep
from curate.flows.steps.mix import MixStep
from curate.flows.steps.ranking_ways import Scores, fused_by, in_places, observe, passed_by, scorer_of, scores_by
from curate.flows.steps.rankings import target_of, vectors_of
from curate.select.alignment import Aligner, Method
from curate.select.budgets import in_turns
from curate.select.fused import fused
from curate.select.rivals import by_place
from curate.settings import RankingSettings
from curate.settings.ranking import FUSIONS
from curate.store.candidates import Candidates
from curate.store.pool import newest_scores

_FUSED = "fused"


def named_ranking(project: Project, selector: str) -> RankingSettings | None:
    """Return the ranking whose scores are a selector's, if it is one's."""
    return next((ranking for ranking in project.settings.ranking if ranking.selector == selector), None)


def alignment_method(project: Project) -> Method:
    """Return how `[align]` holds texts against targets, all of them."""
    align = project.settings.align
    return Method(align.compressor, align.reduce, align.top_m, align.length_control)


def targets_of(project: Project, selectors: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses of what selectors' best are to be like, that of `[align]` where they are like nothing."""
    default = project.settings.align.target
    asked: dict[str, str] = {}
    for selector in selectors:
        _ask(project, selector, asked)
    return tuple(dict.fromkeys(filter(None, asked.values()))) or ((default,) if default else ())


def _ask(project: Project, selector: str, asked: dict[str, str]) -> None:
    """Add the address of a selector's target, "" for none, and those of what it starts from, each of them once."""
    if selector in asked:
        return
    ranking = named_ranking(project, selector)
    asked[selector] = target_of(project, ranking) if ranking else _aligned(project).get(selector, "")
    for one in ranking.of if ranking else ():
        _ask(project, one, asked)


def _aligned(project: Project) -> dict[str, str]:
    """The addresses of the targets of what alignment scores."""
    align = project.settings.align
    further = {f"{AlignStep.name}:{one.name}": one.target for one in align.more}
    return {AlignStep.name: align.target, _FUSED: align.target, **further}


def sample_scores(project: Project, sample: Candidates, seen: Mapping[str, Sequence[str]], selector: str) -> Scores:
    """Return a selector's scores of a sample, from the targets that it may see, by their addresses.

    `mix` goes by turns as the step does, in its proportions of items or else of characters, even for tokens.

    Raises:
        BadDataError: the targets, or the sample, hold no word.
    """
    made = _Sample(project, sample, seen)
    return made.mixed() if selector == MixStep.name else made.scores(selector)


@dataclass(frozen=True, slots=True)
class _Sample:
    project: Project
    sample: Candidates
    seen: Mapping[str, Sequence[str]]
    made: dict[str, Scores] = field(default_factory=dict)

    def scores(self, selector: str) -> Scores:
        """Make anew what depends on a target, and read what does not; each selector once."""
        if selector not in self.made:
            self.made[selector] = self._made(selector)
        return self.made[selector]

    def _made(self, selector: str) -> Scores:
        ranking = named_ranking(self.project, selector)
        if ranking is None:
            return self._of_another(selector)
        if not ranking.of:
            return self._by_texts(ranking)
        of = {one: self.scores(one) for one in ranking.of}
        return fused_by(ranking, of) if ranking.by in FUSIONS else self._by_pass(ranking, of[ranking.of[0]])

    def mixed(self) -> Scores:
        """Let the parts of `[mix]` choose by turns."""
        mix = self.project.settings.mix
        sizes = [1 if mix.unit == "items" else len(text) for text in self.sample.texts]
        order = in_turns([self.scores(part) for part in mix.parts], sizes, list(mix.parts.values()))
        return by_place(order, len(sizes))

    def _of_another(self, selector: str) -> Scores:
        address = _aligned(self.project).get(selector)
        if not address:
            with self.project.reader() as reader:
                known = newest_scores(reader, selector, self.sample.item_ids)
            return np.array([known.get(item_id, np.nan) for item_id in self.sample.item_ids])
        if selector == _FUSED:
            return fused(self.sample.texts, self.seen[address]).scores
        return Aligner(self.seen[address], alignment_method(self.project)).score(self.sample.texts)

    def _by_texts(self, ranking: RankingSettings) -> Scores:
        items = pa.table({"item_id": list(self.sample.item_ids), "text": list(self.sample.texts)})
        scorer = scorer_of(ranking, self.seen.get(target_of(self.project, ranking), ()))
        observe(scorer, items)
        return scores_by(ranking, scorer, items)

    def _by_pass(self, ranking: RankingSettings, scores: Scores) -> Scores:
        ordered = np.argsort(-scores, kind="stable")[: int(np.isfinite(scores).sum())]
        share = len(self.sample.texts) / max(self.sample.pool, 1)
        best = ordered[: ceil(ranking.candidates * share)]
        texts = [self.sample.texts[place] for place in best]
        vectors = None
        if ranking.by == "facility-location":
            with self.project.reader() as reader:
                vectors = vectors_of(self.project, reader, ranking, [self.sample.item_ids[place] for place in best])
        passed = passed_by(ranking, texts, vectors, ceil(ranking.chosen * share))
        places = np.full(len(scores), np.nan)
        places[ordered[in_places(len(ordered), passed)]] = -np.arange(len(ordered), dtype=np.float64)
        return places
