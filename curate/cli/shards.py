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
    from curate.types import Progress

_PLAN = "align: {shards} shards of {bytes:,} bytes to score; the best {top:,} texts would go to {to}"
_DONE = "align: {shards} shards on {nodes} nodes, {scored:,} texts scored, {rejected:,} rows rejected; best in {to}"


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
    told = {"drawn": beside.drawn, "beside": beside.judged} if beside.judged else {}
    _show(invocation, _DONE, {**asdict(done), "to": str(to), **told})
    if beside.judged and not invocation.as_json:
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


def _show_beside(invocation: Invocation, beside: "Beside") -> None:
    """Tell what other ways to choose would have brought, so that nobody believes a score that random choice beats."""
    say = invocation.narrate
    say(f"  chosen from a sample of {beside.drawn:,} texts with half of the target, judged by the other half:")
    say(f"  {'':<12}{'bits per character':>20}{'KL reduction':>14}{'length bias':>13}{'also align':>12}")
    for one in beside.judged:
        bits = f"{one.bits.value:.3f}" if one.bits else "-"
        figures = f"{one.kl_reduction.value:>14.3f}{one.length_bias.value:>13.3f}{one.overlap.value:>12.1%}"
        say(f"  {one.selector:<12}{bits:>20}{figures}")
    for name in beside.as_good:
        say(f"  choosing by {name} is as good as alignment")


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
