"""The verbs that take care of a store: `gc` frees, `backup` copies and restores, `erase` forgets for good."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json, emit_lines
from curate.cli.verb import Verb, dry_run_option, pass_invocation, setting_option, verb, verb_group
from curate.console import is_terminal, table_lines
from curate.errors import StoreBusyError, UsageError
from curate.store.address import Address, LakeAddress, embedded_folder, is_lake, local_folder, store_address

if TYPE_CHECKING:
    from curate.store.care.erasure import ErasurePlan
    from curate.store.care.traces import Traces
    from curate.store.store import Store

_CARES = (4, 5)
_COPIES = (
    "curate store copy curate-store 'ducklake:postgres:dbname=curate host=db' --data s3://bucket/curate",
    "curate store copy 'ducklake:postgres:dbname=curate host=db' ../copies/monday",
)


@verb("gc", examples=["curate gc --dry-run", "curate gc"], exits=_CARES)
@dry_run_option()
@pass_invocation
def gc_verb(invocation: Invocation, dry_run: bool) -> None:
    """Free what nothing needs any more, and merge small segments.

    That is: segments that no reader uses, what killed runs left unfinished, checkpoints that no row names, answers in
    the journal that a commit holds, and idle blocks of the ledger. What a reader still uses stays until it is done.
    """
    from curate.store.care.garbage import collect_garbage, find_garbage

    project = invocation.project()
    exports = project.path(project.settings.export.folder)
    # Opening to write would clean up after a crash already, and a plan writes nothing.
    found = find_garbage(_existing(invocation), exports) if dry_run else collect_garbage(_writable(invocation), exports)
    if invocation.as_json:
        for entry in found:
            emit_json(entry)
    else:
        emit_lines(table_lines(("what", "name", "bytes", "reason"), [tuple(asdict(entry).values()) for entry in found]))
    total = sum(entry.bytes for entry in found) / 2**20
    invocation.narrate(f"{total:.1f} MiB {'to free; nothing was changed' if dry_run else 'freed'}")


@verb(
    "backup",
    examples=[
        "curate backup ../backups/monday",
        "curate backup --restore ../backups/monday",
        "curate backup --rebuild",
    ],
    exits=_CARES,
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option(
    "--restore",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="FOLDER",
    help="Put this backup in the store's place; the present store is kept beside it.",
)
@click.option("--rebuild", is_flag=True, help="Write a damaged ledger anew from what is published.")
@dry_run_option()
@pass_invocation
def backup_verb(
    invocation: Invocation, folder: Path | None, restore: Path | None, rebuild: bool, dry_run: bool
) -> None:
    """Copy the whole store while writers work, or put such a copy back.

    The copy in FOLDER holds one commit, is verified by hashes and counts, and is itself a store. It costs the reading
    of all segments and the writing of a ledger from them. Exports and sources are no part of a store.
    """
    if sum((folder is not None, restore is not None, rebuild)) != 1:
        raise UsageError("one of FOLDER, --restore FOLDER and --rebuild is needed", hint="curate backup FOLDER")
    if folder is not None:
        _back_up(invocation, folder, dry_run)
    elif restore is not None:
        _restore(invocation, restore, dry_run)
    else:
        _rebuild(invocation, dry_run)


def _back_up(invocation: Invocation, folder: Path, dry_run: bool) -> None:
    from curate.store.care.backup import back_up, back_up_lake, plan_backup, plan_lake_backup

    address = invocation.existing_store()
    if isinstance(address, LakeAddress):
        timeout = invocation.load()[0].settings.lease_timeout
        done = plan_lake_backup(address, folder) if dry_run else back_up_lake(address, folder, lease_timeout=timeout)
    else:
        done = plan_backup(address, folder) if dry_run else back_up(_to_copy(invocation), folder)
    # Files and bytes of a copy of a lake are known once it is written.
    _show(invocation, {name: value for name, value in asdict(done).items() if value is not None})
    back = f"store copy {folder} TO" if isinstance(address, LakeAddress) else f"backup --restore {folder}"
    if not dry_run:
        invocation.narrate(f"verified; curate {back} puts it back")


def _restore(invocation: Invocation, backup: Path, dry_run: bool) -> None:
    from curate.store.care.backup import check_backup, restore
    from curate.store.care.erasure import erase_again, tombstones_of

    loaded, _ = invocation.load()
    assert invocation.store_address is not None
    hint = f"createdb NEW, then: curate store copy {backup} 'ducklake:postgres:dbname=NEW …'"
    folder = embedded_folder(invocation.store_address, "curate backup --restore", hint)
    content = check_backup(backup)
    if dry_run:
        _show(invocation, asdict(content))
        return
    erased = tombstones_of(folder)
    aside = restore(backup, folder, lease_timeout=loaded.settings.lease_timeout, command="curate backup --restore")
    again = erase_again(_writable(invocation), erased)
    _show(invocation, {"store": folder, "commit_number": content.commit_number, "replaced": aside})
    if again:
        invocation.narrate(f"{again} items that had been erased since the backup were erased again")
    if aside is not None:
        invocation.narrate(f"the store that was there lies in {aside}; delete it when all is well")


def _rebuild(invocation: Invocation, dry_run: bool) -> None:
    from curate.store.care.rebuild import rebuild_ledger
    from curate.store.manifest import read_manifest

    folder = _with_ledger(invocation)
    found = {"store": folder, "commit_number": read_manifest(folder).commit_number}
    if dry_run:
        _show(invocation, found)
        return
    # Opening the store would fail: its ledger is damaged, or lost.
    aside = rebuild_ledger(_bare(invocation, folder))
    _show(invocation, found | {"replaced": aside})
    if aside is not None:
        invocation.narrate(f"the old ledger lies in {aside}; delete it when `curate doctor --all` is content")


def _with_ledger(invocation: Invocation) -> Path:
    """The folder of a store that has a ledger file; one on DuckLake has none."""
    hint = "curate doctor says which files it lacks; a lost catalog comes back from PostgreSQL's own backup"
    return embedded_folder(invocation.existing_store(), "curate backup --rebuild", hint)


@verb(
    "erase",
    examples=[
        "curate erase 3f9a --dry-run",
        "curate erase 3f9a --reason 'asked for by its author' --yes",
        "curate erase --where \"entity = 'user17/profile'\" --yes",
        "curate erase --where \"nullif(metadata, '')->>'author' = 'user17'\" --dry-run",
    ],
    exits=_CARES,
)
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--where", metavar="SQL", help="Erase the items that this condition over items and origins fits.")
@click.option("--reason", default="asked for", show_default=True, help="Why; it stands on the tombstone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option()
@pass_invocation
def erase_verb(
    invocation: Invocation, items: Sequence[str], where: str | None, reason: str, yes: bool, dry_run: bool
) -> None:
    """Erase items for good, and keep them from coming back.

    Their content, origins, annotations, requests and answers leave every file of the store; ids stay where they tell
    which snapshots and checkpoints hold the items. What else may hold the content is listed: sources, exports,
    checkpoints and items that may say the same. Backups made before hold it too. Let no other command run meanwhile.
    """
    from curate.store.care.erasure import ErasurePlan, erase
    from curate.store.care.traces import find_traces
    from curate.store.journal import Journal
    from curate.store.reader import Reader

    if not items and where is None:
        raise UsageError("name an item, or give --where", hint="curate erase ITEM --dry-run")
    address = invocation.existing_store()
    # The condition may name a person, and the record of runs keeps the command: without what was given to it.
    store = None if dry_run else _writable(invocation, command="curate erase")
    with Reader(address) as reader:
        wanted = _wanted(reader, items, where)
        traces = find_traces(reader, Journal(local_folder(address)), wanted)
    plan = ErasurePlan.of(wanted, traces, reason)
    lost: Mapping[str, int] = {}
    if store is not None and wanted:
        _confirm(len(wanted), yes)
        lost = erase(store, plan)
    _show_erasure(invocation, plan, traces, lost, dry_run=dry_run)
    if isinstance(address, LakeAddress):
        invocation.narrate("journals of other machines and PostgreSQL's own backups are not reached: see docs/lake.md")


def _wanted(reader: Any, items: Iterable[str], where: str | None) -> list[str]:
    from curate.store.care.erasure import items_where
    from curate.store.why import find_item

    named = [find_item(reader, item) for item in items]
    return sorted({*named, *(items_where(reader, where) if where is not None else ())})


def _confirm(count: int, yes: bool) -> None:
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise UsageError(
            f"{count} items would be erased, which cannot be undone",
            unchanged="nothing was erased",
            hint="add --yes, or --dry-run to see what would go",
        )
    try:
        confirmed = click.confirm(f"Erase {count} items? This cannot be undone.", err=True)
    except click.Abort:  # the end of what is typed is no answer
        confirmed = False
    if not confirmed:
        raise UsageError("not confirmed", unchanged="nothing was erased")


def _show_erasure(
    invocation: Invocation, plan: "ErasurePlan", traces: "Traces", lost: Mapping[str, int], *, dry_run: bool
) -> None:
    from curate.store.care.holders import files_naming

    project = invocation.project()
    store_folder = project.store_folder
    places = [
        project.path(project.settings.export.folder),
        project.path(project.settings.report.path),
        *store_folder.parent.glob(f"{store_folder.name}.replaced-*"),
    ]
    files = [str(path) for path in files_naming([place for place in places if place.exists()], plan.items)]
    still = {
        "origins": traces.origins,
        "relatives": traces.relatives,
        "snapshots": traces.snapshots,
        "checkpoints": traces.checkpoints,
        "files": [{"path": file} for file in files],
    }
    counts = {"items": len(plan.items), "requests": len(plan.requests), "rejects": len(plan.rejects)}
    if invocation.as_json:
        emit_json({"dry_run": dry_run, "items": plan.items, "found": counts, "lost": lost, "still": still})
        return
    emit_lines(table_lines(("table", "rows"), (lost or counts).items()))
    for name, rows in still.items():
        if rows:
            emit(f"\n{_HEADINGS[name]}")
            emit_lines(f"  {line}" for line in table_lines(list(rows[0]), [list(row.values()) for row in rows], 100))
    invocation.narrate("nothing was erased" if dry_run else f"erased {len(plan.items)} items from the store")


_HEADINGS = {
    "origins": "it came from here, where it still lies",
    "relatives": "these items may say the same",
    "snapshots": "these training sets hold it; freeze new ones and withdraw what was passed on",
    "checkpoints": "these checkpoints learned from training sets that hold it, or from answers about it",
    "files": "these files still hold it; write them anew or delete them",
}


@verb_group("store", examples=["curate store copy curate-store 'ducklake:postgres:dbname=curate'"])
@pass_invocation
def store_verb(invocation: Invocation) -> None:
    """Move a store between the embedded file and DuckLake."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        raise UsageError("say what to do with it", hint="curate store copy FROM TO")


@store_verb.command("copy", cls=Verb, examples=_COPIES, exits=_CARES)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@setting_option("--data", "lake.data", metavar="PLACE", help="Where a new lake puts Parquet: a folder or s3://….")
@dry_run_option()
@pass_invocation
def copy_verb(invocation: Invocation, source: str, target: str, dry_run: bool) -> None:
    """Copy a whole store to an empty place, commit numbers and all.

    FROM and TO are folders or addresses on DuckLake. Nothing is lost: every table is compared afterwards. Exports and
    sources are no part of a store. Set `store` to TO to go on with the copy.
    """
    from curate.store.copy import copy_store, plan_copy

    invocation.overrides.setdefault("store", source)
    loaded, folder = invocation.load()
    lake = loaded.settings.lake
    places = [
        store_address(
            place if is_lake(place) else str(Path(place).absolute()), folder, folder=lake.folder, data=lake.data
        )
        for place in (source, target)
    ]
    timeout = loaded.settings.lease_timeout
    counts = plan_copy(*places) if dry_run else copy_store(*places, lease_timeout=timeout)
    _show(invocation, counts)
    total = sum(counts.values())
    said = f"{total} rows to copy; nothing was written" if dry_run else f"copied and compared {total} rows"
    invocation.narrate(said if dry_run else f'{said}; to go on with the copy: store = "{target}"')


def _show(invocation: Invocation, values: Mapping[str, Any]) -> None:
    if invocation.as_json:
        emit_json(values)
    else:
        emit_lines(table_lines(("what", "value"), values.items(), 200))


def _writable(invocation: Invocation, command: str = "") -> "Store":
    """The project's store, brought up to date; one must be there. `command` is what the record of runs keeps of it."""
    invocation.existing_store()
    project = invocation.project()
    project.command = command or project.command
    return project.store


def _to_copy(invocation: Invocation) -> "Store":
    """The store brought up to date, or, where a writer does not let go of it, as it is published."""
    try:
        return _writable(invocation)
    except StoreBusyError as error:
        invocation.narrate(f"{error.message}; what is published is copied")
        return _existing(invocation)


def _existing(invocation: Invocation) -> "Store":
    """The project's store as it is."""
    return _bare(invocation, invocation.existing_store())


def _bare(invocation: Invocation, address: Address) -> "Store":
    from curate.store.store import Store

    loaded, _ = invocation.load()
    return Store(address, lease_timeout=loaded.settings.lease_timeout, command="curate care")
