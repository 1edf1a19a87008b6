"""`curate align --shards`: the best texts of files that are in no store."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json
from curate.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from curate.flows.project import Project
    from curate.flows.steps.shard_samples import Beside
    from curate.flows.steps.shards import ShardFigures, ShardScoring
    from curate.statistics import Interval
    from curate.types import Progress

_PLAN = "align: {shards} shards of {bytes:,} bytes to score; the best {top:,} texts would go to {to}"
_DONE = "align: {shards} shards on {nodes} nodes, {scored:,} texts scored, {rejected:,} rows rejected; best in {to}"
_ROW = "  {:<12}{:>24}{:>24}{:>22}{:>20}"


def align_shards_verb(
    invocation: Invocation,
    *,
    dry_run: bool,
    shards: str,
    top: int | None,
    to: Path | None,
    column: str,
    ray: str | None,
) -> int:
    """Score the shards and print what became of their rows; with `dry_run`, what would be scored."""
    from curate.flows.steps.shards import judged_shards, list_shards

    if top is None or to is None:
        raise UsageError("--shards needs --top and --to", hint="add --top 1000 --to best.parquet")
    project = invocation.project()
    to = to.absolute()
    scoring = _scoring(project, to, top, column)
    if dry_run:
        files = list_shards(shards, scoring)
        figures = {"shards": len(files), "bytes": sum(file.size for file in files), "top": top}
        _show(invocation, _PLAN, {**figures, "to": str(to)})
        return 0
    done = _score(invocation, shards, scoring, to, ray)
    beside = judged_shards(to, scoring)
    _show(invocation, _DONE, {**asdict(done), "to": str(to), **_told(beside)})
    if not invocation.as_json:
        _show_beside(invocation, beside)
    return 7 if done.rejected else 0


def _scoring(project: "Project", to: Path, top: int, column: str) -> "ShardScoring":
    """Return what is asked of every shard, as `[align]` has it."""
    from curate.flows.steps.shards import ShardScoring

    align = project.settings.align
    if not align.target:
        raise ConfigurationError("there is no target to score against", hint="add --target PATH, or set it in [align]")
    return ShardScoring(
        str(project.path(align.target)),
        f"{to}.shards",
        top,
        column,
        align.compressor,
        align.length_control,
        align.reduce,
        align.top_m,
        align.sampled or None,
        align.confidence,
        align.baselines,
    )


def _score(invocation: Invocation, shards: str, scoring: "ShardScoring", to: Path, ray: str | None) -> "ShardFigures":
    from curate.console import close_progress
    from curate.flows.on_ray import align_shards_on_ray

    if ray is not None:
        return align_shards_on_ray(shards, scoring, to, ray)
    progress = invocation.progress()
    try:
        return _score_here(shards, scoring, to, progress)
    finally:
        close_progress(progress)


def _score_here(shards: str, scoring: "ShardScoring", to: Path, progress: "Progress") -> "ShardFigures":
    from curate.flows.steps.shards import list_shards, merge_shards, score_shard

    files, results = list_shards(shards, scoring), []
    progress.start("align", len(files))
    for file in files:
        results.append(score_shard(file, scoring))
        progress.advance()
    progress.finish("align")
    return merge_shards(results, scoring.top, to)


def _told(beside: "Beside") -> dict[str, Any]:
    """Return what `--json` has of the comparison."""
    notes = {"notes": beside.notes} if beside.notes else {}
    if not beside.judged:
        return notes
    figures = {"drawn": beside.drawn, "chosen": beside.chosen, "beside": beside.judged, "as_good": beside.as_good}
    return {**figures, **notes}


def _show_beside(invocation: Invocation, beside: "Beside") -> None:
    """Tell what other ways to choose would have brought, so that nobody believes a score that random choice beats."""
    say = invocation.narrate
    if beside.judged:
        say(f"  what the best {beside.chosen:,} of a sample of {beside.drawn:,} texts are worth,")
        say("  chosen with half of the target and judged by the other half, with 95 % intervals:")
        say(_ROW.format("", "bits per character", "KL reduction", "length bias", "also align"))
    for one in beside.judged:
        bits = _bounded(one.bits, ".3f") if one.bits else "-"
        figures = [_bounded(one.kl_reduction, ".3f"), _bounded(one.length_bias, ".2f"), _bounded(one.overlap, ".0%")]
        say(_ROW.format(one.selector, bits, *figures))
    for name in beside.as_good:
        say(f"  choosing by {name} is as good as alignment")
    for note in beside.notes:
        say(f"  {note}")


def _bounded(interval: "Interval", form: str) -> str:
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def _show(invocation: Invocation, line: str, figures: dict[str, Any]) -> None:
    if invocation.as_json:
        emit_json(figures)
        return
    emit(line.format_map(figures))
    if first := figures.get("first_reject"):
        invocation.narrate(f"  first reject: {first}")
    if figures.get("outrun"):
        invocation.narrate(f"  {figures['outrun']:,} texts left the race for the best before they had a score")
    if figures.get("without_score"):
        invocation.narrate(f"  {figures['without_score']:,} texts have no score")
