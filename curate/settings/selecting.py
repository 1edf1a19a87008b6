"""What orders a training set: every selector that is named has what it needs, and every ranking makes sense."""

from collections.abc import Iterable

from curate.errors import ConfigurationError
from curate.settings.models import Settings
from curate.settings.naming import refuse_twins, refuse_unknown
from curate.settings.ranking import (
    FUSIONS,
    OPTIONS,
    PASSES,
    RANKING_PREFIX,
    TARGETED,
    RankingSettings,
    in_order,
)
from curate.types import TOKENIZERS


def check_selecting(settings: Settings, place: str) -> None:
    """Refuse selectors that lack what they need, rankings that make no sense, and parts of a mix that nobody scores.

    Raises:
        ConfigurationError: which, and what to write instead.
    """
    _check_mix(settings, place)
    refuse_twins("ranking", settings.ranking, place)
    for ranking in settings.ranking:
        _check_ranking(settings, ranking, f"{place}, ranking {ranking.name!r}")
    in_order(settings.ranking, place)
    for snapshot in settings.snapshot:
        asked = [snapshot.order_by, *(entry.selector for entry in snapshot.scores)]
        _check_selectors(settings, asked, f"{place}, snapshot {snapshot.name!r}")
    for rule in settings.filter.score:
        if rule.selector.startswith(RANKING_PREFIX):
            raise ConfigurationError(
                f"{place}, filter.score: {rule.selector!r} ranks what the filter leaves, and cannot filter it",
                hint=f'scores = [{{ selector = "{rule.selector}", min = … }}] in the [[snapshot]]',
            )


def _check_mix(settings: Settings, place: str) -> None:
    refuse_twins("further target", settings.align.more, place)
    if settings.align.more and not settings.align.target:
        raise ConfigurationError(f"{place}: further targets, and no target in [align]", hint='target = "…"')
    _check_aligned(settings, settings.mix.parts, f"{place}, parts of mix")
    _check_rankings_named(settings, settings.mix.parts, f"{place}, parts of mix")
    unit, tokenizer = settings.mix.unit, settings.mix.tokenizer
    if (unit == "tokens") != bool(tokenizer):
        raise ConfigurationError(
            f"{place}: parts of tokens need a tokenizer, and no others do", hint='tokenizer = "words"'
        )
    if tokenizer and "/" not in tokenizer and not tokenizer.endswith(".json"):
        refuse_unknown("tokenizer", [tokenizer], TOKENIZERS, f"{place}, mix")


def _check_aligned(settings: Settings, selectors: Iterable[str], where: str) -> None:
    aligned = {"align", *(f"align:{more.name}" for more in settings.align.more)}
    asked = [name for name in selectors if name.partition(":")[0] == "align"]
    refuse_unknown("selector", asked, aligned if settings.align.target else (), where)


def _check_rankings_named(settings: Settings, selectors: Iterable[str], where: str) -> None:
    asked = [name for name in selectors if name.startswith(RANKING_PREFIX)]
    refuse_unknown("selector", asked, [ranking.selector for ranking in settings.ranking], where)


def _check_selectors(settings: Settings, selectors: Iterable[str], where: str) -> None:
    """Refuse what the project itself would have to score, and does not; other selectors' scores may be in the store."""
    asked = set(selectors)
    if "align" in asked and not settings.align.target:
        raise ConfigurationError(f'{where}: the selector "align" needs a target', hint="set target in [align]")
    if "fused" in asked and not (settings.fuse.candidates and settings.align.target):
        raise ConfigurationError(
            f'{where}: the selector "fused" needs candidates and a target',
            hint="candidates = 5_000 in [fuse], and target in [align]",
        )
    if "mix" in asked and not settings.mix.parts:
        raise ConfigurationError(f'{where}: the selector "mix" needs parts', hint="parts = { align = 1 } in [mix]")
    _check_rankings_named(settings, asked, where)


def _check_ranking(settings: Settings, ranking: RankingSettings, where: str) -> None:
    given = ranking.model_fields_set - {"name", "by"}
    if odd := sorted(given - OPTIONS[ranking.by]):
        takes = ", ".join(sorted(OPTIONS[ranking.by])) or "nothing else"
        raise ConfigurationError(f"{where}: by {ranking.by!r} has no {odd[0]}", hint=f"it takes {takes}")
    if ranking.by in TARGETED and not (ranking.target or settings.align.target):
        raise ConfigurationError(f"{where}: {ranking.by} needs a target", hint='target = "…" there, or in [align]')
    if ranking.by in (*FUSIONS, *PASSES):
        _check_starts(settings, ranking, where)
    if ranking.by in ("entropy-law", "facility-location") and ranking.chosen > ranking.candidates:
        raise ConfigurationError(
            f"{where}: {ranking.chosen} cannot be chosen of {ranking.candidates} candidates", hint="chosen = 1_000"
        )
    if ranking.by == "facility-location":
        _check_encoder(settings, ranking, where)


def _check_starts(settings: Settings, ranking: RankingSettings, where: str) -> None:
    """Refuse a fusion of one selector, a pass over none or several, and selectors that are not there by then."""
    if ranking.by in FUSIONS and len(ranking.of) < 2:
        raise ConfigurationError(f"{where}: {ranking.by} is of two selectors or more", hint='of = ["align", "fused"]')
    if ranking.by in PASSES and len(ranking.of) != 1:
        raise ConfigurationError(f"{where}: {ranking.by} starts from one selector", hint='of = ["align"]')
    if "mix" in ranking.of:
        raise ConfigurationError(
            f'{where}: "mix" is made after the rankings', hint=f'parts = {{ "{ranking.selector}" = 1 }} in [mix]'
        )
    refuse_unknown("selector", ranking.weights, ranking.of, f"{where}, weights")
    _check_aligned(settings, ranking.of, where)
    _check_selectors(settings, ranking.of, where)


def _check_encoder(settings: Settings, ranking: RankingSettings, where: str) -> None:
    if not settings.embed.encoders:
        raise ConfigurationError(
            f"{where}: facility-location needs vectors, and no encoder makes any",
            hint='encoders = ["minilm"] in [embed]',
        )
    refuse_unknown("encoder", [ranking.encoder] if ranking.encoder else [], settings.embed.encoders, where)
