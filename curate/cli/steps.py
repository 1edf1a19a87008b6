"""The verbs that are one step of the walk each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json
from curate.cli.reports import exit_code, ingest_exit_code, narrate_next, report_line, show_plans
from curate.cli.sources import with_source
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, setting_option, verb
from curate.cli.watching import watch_sources
from curate.errors import UsageError
from curate.types import FORMATS, MODALITIES, StepReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from curate.flows.project import Project
    from curate.flows.steps import Step
    from curate.settings import Settings
    from curate.types import Progress


def run_named(
    invocation: Invocation, name: str, *, dry_run: bool, settings: "Settings | None" = None
) -> StepReport | None:
    """Run the step of this name, or print its plan; return what it did."""
    from curate.flows.steps import step_named

    return carry_out(invocation, step_named(name), dry_run=dry_run, settings=settings)


def carry_out(
    invocation: Invocation, step: "Step", *, dry_run: bool, settings: "Settings | None" = None
) -> StepReport | None:
    """Run one step, or print its plan; return what it did."""
    from curate.console import close_progress
    from curate.flows.sequence import run_step

    project, progress = invocation.project(settings), invocation.progress()
    try:
        if dry_run:
            show_plans(invocation, [step.plan(project, progress)])
            return None
        report = run_step(project, step, progress)
    finally:
        close_progress(progress)
    show_report(invocation, report)
    return report


def show_report(invocation: Invocation, report: StepReport) -> None:
    """Print what a step did: its line, or its figures for a program."""
    if invocation.as_json:
        emit_json(report)
    else:
        emit(report_line(report))
        for note in report.notes:
            invocation.narrate(f"  {note}")


def _run(invocation: Invocation, name: str, dry_run: bool, settings: "Settings | None" = None) -> int:
    report = run_named(invocation, name, dry_run=dry_run, settings=settings)
    if report is None:
        return 0
    narrate_next(invocation, [report])
    return exit_code([report])


@verb(
    "ingest",
    examples=[
        "curate ingest",
        "curate ingest --dry-run",
        "curate ingest posts.jsonl --text body --label category --id url --meta lang,year --licence CC-BY-4.0",
        "curate ingest photos/ --modality image --label folder",
        "curate ingest 's3://bucket/shards/*.tar' --modality image --label cls",
        "zcat posts.jsonl.gz | curate ingest - --format jsonl",
        "curate ingest --watch",
        "curate ingest inbox/ --watch --every 1",
    ],
    exits=WRITES,
)
@click.argument("path", required=False)
@click.option("--name", help="Name of the source; the path's own name by default.")
@click.option("--modality", type=click.Choice(MODALITIES), help="text by default.")
@click.option("--format", type=click.Choice(FORMATS), help="By the files' endings by default.")
@click.option("--text", metavar="COLUMN", help="Column that holds the text.")
@click.option("--image", metavar="COLUMN", help="Column that holds the image.")
@click.option("--events", metavar="COLUMN", help="Column that holds the events.")
@click.option("--time-unit", metavar="UNIT", help="Unit of the events' times.")
@click.option("--label", metavar="COLUMN", help="Column that holds a label, or: folder.")
@click.option("--attribute", metavar="NAME", help="Attribute that the label is a value of.")
@click.option("--id", metavar="COLUMN", help="Column that stays the same when an item changes.")
@click.option("--meta", metavar="COLUMNS", help="Columns to keep beside the item, separated by commas.")
@click.option("--licence", metavar="LICENCE", help="Licence of the items.")
@click.option("--licence-column", metavar="COLUMN", help="Column that holds each item's own licence, if it has one.")
@click.option("--watch", is_flag=True, help="Go on looking, and take in what comes, until stopped.")
@setting_option("--every", "watch.every", metavar="SECONDS", help="Time from look to look with --watch.")
@dry_run_option()
@pass_invocation
def ingest_verb(invocation: Invocation, /, path: str | None, watch: bool, dry_run: bool, **options: str | None) -> int:
    """Take in what is new in the sources, or a path as a source for this call.

    Without PATH: every [[source]] of curate.toml. With PATH (a file, a folder, a glob, an address that fsspec knows
    such as s3://bucket/folder, or - for standard input): that alone, with the options as the source's settings; the
    store records the source. Rejected rows and their reasons: table rejects.

    With --watch, a file is read once two looks in a row found it alike, and a line tells of each look that found some.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if path is None and given:
        raise UsageError(f"--{next(iter(given)).replace('_', '-')} describes a path, and there is none")
    settings = with_source(invocation, path, given) if path is not None else None
    if watch and not dry_run:
        watch_sources(invocation, settings)
    report = run_named(invocation, "ingest", dry_run=dry_run, settings=settings)
    if report is None:
        return 0
    narrate_next(invocation, [report])
    return ingest_exit_code(report)


@verb("dedup", examples=["curate dedup", "curate dedup --dry-run"], exits=WRITES)
@dry_run_option()
@pass_invocation
def dedup_verb(invocation: Invocation, dry_run: bool) -> int:
    """Find texts that say the same and drop all but one."""
    return _run(invocation, "dedup", dry_run)


@verb(
    "filter",
    examples=["curate filter --personal-data true --dry-run", "curate filter --quality true", "curate filter"],
    exits=WRITES,
)
@setting_option("--personal-data", "filter.personal_data.enabled", metavar="true|false", help="Look for personal data.")
@setting_option("--quality", "filter.quality.enabled", metavar="true|false", help="Ask published rules of quality.")
@setting_option("--language", "filter.language.enabled", metavar="true|false", help="Look for other languages.")
@setting_option("--secrets", "filter.secrets.enabled", metavar="true|false", help="Look for keys and passwords.")
@dry_run_option()
@pass_invocation
def filter_verb(invocation: Invocation, dry_run: bool) -> int:
    """Look for personal data, secrets and poor quality, and decide what becomes of them.

    What is found becomes a decision of the step filter with a reason that names kinds or rules, such as email address,
    and never the value. [filter] says which rules are on and what follows: drop, query (a person decides) or keep with
    a note.
    """
    return _run(invocation, "filter", dry_run)


@verb("embed", examples=["curate embed --dry-run", "curate embed"], exits=WRITES)
@dry_run_option()
@pass_invocation
def embed_verb(invocation: Invocation, dry_run: bool) -> int:
    """Keep the features that frozen encoders give new items.

    [embed] names encoders; the table embeddings has a vector for each item and encoder. Learners keep
    what they need by themselves. A run that is stopped goes on where it was.
    """
    return _run(invocation, "embed", dry_run)


@verb("acquire", examples=["curate acquire --dry-run", "curate acquire"], exits=WRITES)
@dry_run_option()
@pass_invocation
def acquire_verb(invocation: Invocation, dry_run: bool) -> int:
    """Watch the stream of items, and ask people where an answer teaches most.

    Each [[acquire]] names an attribute, a learner and a rate, the share of items that people are asked about. Every
    item is decided on once, in the order in which items came: the table acquisitions has each decision with its
    utility and its propensity. The questions go to the labelling page; what people answer is learned whenever it comes.
    """
    return _run(invocation, "acquire", dry_run)


@verb("filter-scores", examples=["curate filter-scores --dry-run", "curate filter-scores"], exits=WRITES)
@dry_run_option()
@pass_invocation
def filter_scores_verb(invocation: Invocation, dry_run: bool) -> int:
    """Decide about items whose scores lie out of bounds.

    [[filter.score]] names a selector and the least or the greatest score that passes. Scores come from align and other
    steps, so in the walk this one stands behind them. An item without a score gets no decision.
    """
    return _run(invocation, "filter-scores", dry_run)


@verb("fuse", examples=["curate fuse --dry-run", "curate fuse"], exits=WRITES)
@dry_run_option()
@pass_invocation
def fuse_verb(invocation: Invocation, dry_run: bool) -> int:
    """Order the best texts by alignment anew, by relevance and coverage.

    So they are of the target's kind and do not repeat each other. [fuse] says how many are ordered; a snapshot takes
    the order with order_by = "fused". Each [[ranking]] is computed too: by importance, TF-IDF, length, chance, fusions
    of scores and passes against repetition; a snapshot takes it with order_by = "ranking:NAME".
    """
    return _run(invocation, "fuse", dry_run)


@verb("mix", examples=["curate mix --dry-run", "curate mix"], exits=WRITES)
@dry_run_option()
@pass_invocation
def mix_verb(invocation: Invocation, dry_run: bool) -> int:
    """Order items for several targets at once, by turns.

    [mix] names selectors and the parts that they shall have of whatever a snapshot takes that is ordered by "mix".
    """
    return _run(invocation, "mix", dry_run)


@verb(
    "align",
    examples=[
        "curate align",
        "curate align --target functions.py --dry-run",
        "curate align --target functions.py --shards 'pool/*.parquet' --top 100000 --to best.parquet --ray local",
    ],
    exits=WRITES,
)
@setting_option("--target", "align.target", metavar="PATH", help="File or folder with the texts to be like.")
@setting_option("--compressor", "align.compressor", metavar="NAME", help="Compressor that measures likeness.")
@click.option("--shards", metavar="ADDRESS", help="Score these files instead of the store's items.")
@click.option("--top", type=click.IntRange(min=1), help="With --shards: how many of the best texts to keep.")
@click.option("--to", type=click.Path(path_type=Path), help="With --shards: the Parquet file for the best.")
@click.option("--column", default="text", metavar="COLUMN", help="With --shards: column that holds the text.")
@click.option("--ray", metavar="CLUSTER", help="With --shards: score on this Ray cluster (host:port, or local).")
@dry_run_option()
@pass_invocation
def align_verb(invocation: Invocation, /, dry_run: bool, **of_shards: Any) -> int:
    """Score every new text by its alignment to the target.

    With --shards, files that are in no store are scored, each alone, on this machine or on a Ray cluster, and the
    ids, scores and places of the best texts of all are written to a file. A shard that was scored is not scored again.
    On a sample, what the baselines would have brought is told beside it.
    """
    if of_shards["shards"] is not None:
        from curate.cli.shards import align_shards_verb

        return align_shards_verb(invocation, dry_run=dry_run, **of_shards)
    if any(of_shards[name] is not None for name in ("top", "to", "ray")):
        raise UsageError("--top, --to and --ray go with --shards")
    return _run(invocation, "align", dry_run)


@verb(
    "annotate",
    examples=[
        "curate annotate --dry-run",
        "curate annotate",
        "curate annotate --with learner:topics",
        "curate annotate --with adapter:topics",
    ],
    exits=(4, 5, 6, 7),
)
@click.option("--with", "name", metavar="NAME", help="Ask this annotator alone; or learner:NAME, adapter:NAME.")
@dry_run_option()
@pass_invocation
def annotate_verb(invocation: Invocation, /, name: str | None, dry_run: bool) -> int:
    """Let the annotators answer the protocol's questions about new items.

    With --dry-run it prints the calls, tokens and cost to expect. An answer that was received is never paid for again.
    A learner's or adapter's served checkpoint is asked about every item that did not teach it.
    """
    if name is None:
        return _run(invocation, "annotate", dry_run)
    from curate.settings.teaching import with_annotator

    return _run(invocation, "annotate", dry_run, with_annotator(invocation.load()[0].settings, name))


@verb("compare", examples=["curate compare --dry-run", "curate compare"], exits=WRITES)
@dry_run_option()
@pass_invocation
def compare_verb(invocation: Invocation, dry_run: bool) -> int:
    """Put selections by alignment beside what the baselines would have chosen.

    The same for selections by a [[ranking]]. On a sample of the candidates: KL reduction, bits per character of
    held-out targets, length bias and overlap of alignment, the fused selector, importance, TF-IDF, random choice and
    the shortest texts; the report shows them.
    """
    return _run(invocation, "compare", dry_run)


@verb(
    "export",
    examples=[
        "curate export",
        "curate export --folder sets --verify datasets",
        "HF_TOKEN=… curate export --push --hub my-name",
    ],
    exits=WRITES,
)
@setting_option("--folder", "export.folder", metavar="FOLDER", help="Write the training sets there.")
@setting_option("--verify", "export.verify", metavar="NAME", help="Load it back with pyarrow (default) or datasets.")
@setting_option("--hub", "export.hub", metavar="NAME", help="User or organisation to push to.")
@click.option("--push", is_flag=True, help="Then send them to the hub at HF_ENDPOINT, with the token in HF_TOKEN.")
@dry_run_option()
@pass_invocation
def export_verb(invocation: Invocation, /, push: bool, dry_run: bool) -> int:
    """Write the newest training sets as Parquet with a card.

    A folder that exists grows: old shards stay as they are. Every export is loaded back before it is put in place. With
    --push, what the hub does not have yet is sent there in one commit for each folder.
    """
    report = run_named(invocation, "export", dry_run=dry_run)
    if not push or report is None:
        return 0
    from curate.flows.steps.export import push_exports

    show_report(invocation, carry_out_work(invocation, invocation.project(), "push", push_exports))
    return exit_code([report])


def carry_out_work(
    invocation: Invocation, project: "Project", name: str, work: "Callable[[Project, Progress], StepReport]"
) -> StepReport:
    """Do what is no step of the walk, and is told of like one."""
    from curate.console import close_progress
    from curate.flows.lineage.observe import with_lineage

    progress = invocation.progress()
    try:
        return with_lineage(project, progress, name, lambda: work(project, progress))
    finally:
        close_progress(progress)


@verb("learn", examples=["curate learn", "curate learn --dry-run"], exits=WRITES)
@dry_run_option()
@pass_invocation
def learn_verb(invocation: Invocation, dry_run: bool) -> int:
    """Let the learners consume what is new in their snapshots.

    A new checkpoint is served where the promotion gate finds it no worse than the served one: see curate promote.
    """
    return _run(invocation, "learn", dry_run)


@verb("report", examples=["curate report", "curate report --path today.html"], exits=WRITES)
@setting_option("--path", "report.path", metavar="FILE", help="Write the report there.")
@dry_run_option()
@pass_invocation
def report_verb(invocation: Invocation, dry_run: bool) -> int:
    """Write the report: one HTML file that needs no network."""
    return _run(invocation, "report", dry_run)
