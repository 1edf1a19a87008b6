"""The sections `[[ranking]]`: what a snapshot can be ordered by besides alignment, and which starts from which."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field, StrictFloat, StrictInt

from curate.errors import ConfigurationError
from curate.settings.section import Count, Name, Names, ProjectPath, Section

ByText = Literal["importance", "tfidf", "length", "random"]
Fusion = Literal["borda", "reciprocal-rank", "weighted-sum"]
Pass = Literal["without-near-duplicates", "entropy-law", "facility-location"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)
PASSES: tuple[Pass, ...] = get_args(Pass)
TARGETED: tuple[ByText, ...] = ("importance", "tfidf")
"""The ways that need texts to be like."""
RANKING_PREFIX = "ranking:"
_Positive = Annotated[StrictInt, Field(ge=1)]


class RankingSettings(Section):
    """The scores of the selector `ranking:NAME`, which the step `fuse` computes; a snapshot takes them as `order_by`.

    `by` says how. From the texts: `importance` (DSIR) and `tfidf` to the texts of `target` (a file or a folder; "" is
    that of `[align]`), `length` (the shortest first), `random`. `importance` adds `smoothing` to each count; its `mode`
    gumbel draws by weight, by a `seed`, where top-k takes the best.

    From the scores of the selectors `of`: `borda`, `reciprocal-rank` and `weighted-sum`, in which each counts by its
    `weights`, 1 unless named.

    From the order that one selector `of` gives, whose best `candidates` a pass orders anew, so that they do not say the
    same again; the others follow as they were, and the scores are places: 0, -1, and so on.
    `without-near-duplicates` puts those last that are as alike to a better one as `threshold` says. `entropy-law` (what
    compresses worst behind the ones before) and `facility-location` (what represents the candidates best, by the
    vectors of an `encoder` of `[embed]`, "" = the first) put `chosen` of them in front.

    One way is one section: what a training set should be is said by building on each other's names, and each part can
    be looked at, bounded and compared by itself.
    """

    name: Name
    by: Literal[ByText, Fusion, Pass]
    target: ProjectPath = ""
    smoothing: Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)] = 0.5
    mode: Literal["top-k", "gumbel"] = "top-k"
    seed: Count = 0
    of: Names = ()
    weights: dict[str, Annotated[StrictFloat | StrictInt, Field(gt=0, allow_inf_nan=False)]] = {}
    candidates: Annotated[StrictInt, Field(ge=1, le=20_000)] = 5_000
    chosen: _Positive = 1_000
    threshold: Annotated[StrictFloat, Field(gt=0, le=1)] = 0.5
    encoder: str = ""

    @property
    def selector(self) -> str:
        """The selector's name of its scores."""
        return RANKING_PREFIX + self.name


OPTIONS: Mapping[str, frozenset[str]] = {
    "importance": frozenset({"target", "smoothing", "mode", "seed"}),
    "tfidf": frozenset({"target"}),
    "length": frozenset(),
    "random": frozenset({"seed"}),
    **dict.fromkeys(FUSIONS, frozenset({"of", "weights"})),
    "without-near-duplicates": frozenset({"of", "candidates", "threshold"}),
    "entropy-law": frozenset({"of", "candidates", "chosen"}),
    "facility-location": frozenset({"of", "candidates", "chosen", "encoder"}),
}
"""What each way can be told besides its name."""


def in_order(rankings: Sequence[RankingSettings], place: str) -> list[RankingSettings]:
    """Return the rankings so that each stands behind those that it starts from.

    Raises:
        ConfigurationError: some start from each other in a circle.
    """
    named = {ranking.selector: ranking for ranking in rankings}
    ordered: dict[str, RankingSettings] = {}

    def visit(selector: str, path: tuple[str, ...]) -> None:
        if selector in path:
            circle = " -> ".join([*path[path.index(selector) :], selector])
            raise ConfigurationError(
                f"{place}: rankings start from each other: {circle}", hint="let one of them start from scores of texts"
            )
        if selector not in named or selector in ordered:
            return
        for one in named[selector].of:
            visit(one, (*path, selector))
        ordered[selector] = named[selector]

    for selector in named:
        visit(selector, ())
    return list(ordered.values())
