"""How much discovery asks, and the bounded number of calls that follows from it before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from curate.annotate.llm.spending import CHARACTERS_PER_TOKEN
from curate.errors import ConfigurationError

PROPOSED = 5
"""How many dimensions one round asks for."""
VALUES_SHOWN = 5
_WORDING_TOKENS = 260
_NAME_TOKENS = 8


@dataclass(frozen=True, slots=True)
class DiscoveryParameters:
    """How many rounds, votes and names; the reference (SSD-LLM) has 10, 20, 20, 20 rounds and no bound on names.

    rounds, captions: rounds of proposing dimensions, and captions shown in each.
    least_votes: the share of rounds that must name a dimension.
    most_dimensions, most_attributes: bounds on names; fewer are kept where fewer are found.
    pinned: dimensions that are there whatever is proposed; with as many as `most_dimensions`, nothing is proposed.
    attribute_rounds: rounds of listing each dimension's attributes.
    refinements, batch: batches of captions against which each dimension is checked, and captions in each.
    votes: how often such a batch, or a merge, is asked about, each time in another order; 1 is asked at temperature 0.
    answers: how often an item is asked about its attributes.
    characters: how much of a text is shown.

    Raises:
        ConfigurationError: a number that cannot be.
    """

    rounds: int = 8
    captions: int = 16
    least_votes: float = 0.3
    most_dimensions: int = 5
    most_attributes: int = 10
    pinned: tuple[str, ...] = ()
    attribute_rounds: int = 3
    refinements: int = 2
    batch: int = 8
    votes: int = 3
    answers: int = 1
    temperature: float = 0.7
    characters: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be, before the first request is paid for."""
        counted = ("captions", "most_dimensions", "most_attributes", "batch", "votes", "answers", "characters")
        for name in counted:
            if getattr(self, name) < 1:
                raise ConfigurationError(f"discovery: {name} is at least 1, not {getattr(self, name)}")
        if min(self.rounds, self.attribute_rounds, self.refinements) < 0 or not 0 <= self.least_votes <= 1:
            raise ConfigurationError("discovery: rounds are at least 0, and least_votes lies between 0 and 1")
        if len(self.pinned) > self.most_dimensions:
            raise ConfigurationError(
                f"discovery: {len(self.pinned)} dimensions are pinned, {self.most_dimensions} allowed"
            )

    @property
    def proposes(self) -> bool:
        """Whether dimensions are proposed, beside those that are pinned."""
        return self.rounds > 0 and len(self.pinned) < self.most_dimensions


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """The most that one stage may ask: calls, tokens of prompts and of answers."""

    name: str
    calls: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class DiscoveryPlan:
    """The most that discovery may ask, stage by stage; an answer that is of no use is asked for once more, at most."""

    stages: tuple[PlannedStage, ...]

    @property
    def calls(self) -> int:
        """How many calls at most, those repeated for useless answers not counted."""
        return sum(stage.calls for stage in self.stages)

    @property
    def prompt_tokens(self) -> int:
        """How many tokens of prompts at most."""
        return sum(stage.prompt_tokens for stage in self.stages)

    @property
    def completion_tokens(self) -> int:
        """How many tokens of answers at most."""
        return sum(stage.completion_tokens for stage in self.stages)


def plan_discovery(parameters: DiscoveryParameters, texts: Sequence[str], assigned: int) -> DiscoveryPlan:
    """Return the most that discovering in these texts, and asking about `assigned` items, may take.

    Tokens are estimated from the texts' mean length, cut to what is shown, at three characters a token.
    """
    lengths = [min(len(text), parameters.characters) for text in texts] or [0]
    caption = ceil(sum(lengths) / len(lengths) / CHARACTERS_PER_TOKEN) + 4
    most = parameters.most_dimensions
    names = most * parameters.most_attributes * _NAME_TOKENS
    proposals = parameters.rounds if parameters.proposes else 0
    stages = [
        _stage("dimensions", proposals, parameters.captions * caption, PROPOSED * VALUES_SHOWN * _NAME_TOKENS),
        _stage("merge dimensions", parameters.votes if proposals else 0, names, most * 2 * _NAME_TOKENS),
        _stage("attributes", most * parameters.attribute_rounds, parameters.captions * caption,
               parameters.most_attributes * _NAME_TOKENS),
        _stage("refinement", most * parameters.refinements * parameters.votes,
               parameters.batch * caption + names // most, parameters.batch * 2 * _NAME_TOKENS),
        _stage("merge attributes", most * parameters.votes, names // most, names // most),
        _stage("assignment", assigned * parameters.answers, caption + names, most * 3 * _NAME_TOKENS),
    ]  # fmt: skip
    return DiscoveryPlan(tuple(stages))


def reference_calls(dimensions: int, items: int) -> int:
    """Return how many calls the reference makes at its shipped settings: with 4 a vote, between its 3 and 5.

    >>> reference_calls(6, 1_000)
    6743
    """
    return 11 + dimensions * 41 + dimensions * 20 * 4 + dimensions + items * dimensions


def _stage(name: str, calls: int, shown: int, answered: int) -> PlannedStage:
    return PlannedStage(name, calls, calls * (shown + _WORDING_TOKENS), calls * answered)
