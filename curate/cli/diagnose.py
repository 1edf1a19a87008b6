"""The verbs that diagnose: `config` shows every setting with its source, `doctor` checks what curate stands on."""

from collections.abc import Iterable
from dataclasses import asdict

import click

from curate.cli.checkup import Finding, check_installation, check_lake, check_project, check_store
from curate.cli.invocation import Invocation
from curate.cli.output import emit_json, emit_lines
from curate.cli.verb import pass_invocation, verb
from curate.console import table_lines
from curate.store.address import LakeAddress


@verb("config", examples=["curate config", "CURATE_ALIGN__TARGET=other.txt curate config", "curate config --json"])
@pass_invocation
def config_verb(invocation: Invocation) -> None:
    """Print every setting with where its value comes from.

    A flag wins over a CURATE_… variable, which wins over curate.toml, which wins over the default.
    """
    from curate.cli.output import json_text

    loaded, folder = invocation.load()
    if invocation.as_json:
        for value in loaded.values:
            emit_json(value)
        return
    rows = [(value.key, json_text(value.value), value.source) for value in loaded.values]
    emit_lines(table_lines(("setting", "value", "source"), rows, width=200))
    invocation.narrate(f"project: {folder}")


@verb("doctor", examples=["curate doctor", "curate doctor --all", "curate doctor --json"], exits=(4,))
@click.option("--all", "all_items", is_flag=True, help="Check every item, and every row of the ledger.")
@pass_invocation
def doctor_verb(invocation: Invocation, all_items: bool) -> int:
    """Check installation, project and store.

    Of the store: segments, ids against content (of a sample, by default), rows without an item, keys that occur twice,
    commit numbers, hashes of snapshots and checkpoints, and the ledger. Each finding says what to do. Exit code 4 says
    that something is broken; what is only missing (an extra, a project) is not.
    """
    findings = [*check_installation(), *check_project(invocation)]
    if isinstance(invocation.store_address, LakeAddress):
        findings += check_lake(invocation.store_address, all_items=all_items)
    elif invocation.store_address:
        findings += check_store(invocation.store_address, all_items=all_items)
    _show(invocation, findings)
    broken = [finding for finding in findings if finding.state == "broken"]
    for finding in broken:
        invocation.narrate(f"broken: {finding.what}: {finding.detail}")
    return 4 if broken else 0


def _show(invocation: Invocation, findings: Iterable[Finding]) -> None:
    if invocation.as_json:
        for finding in findings:
            emit_json(asdict(finding))
    else:
        rows = [(finding.what, finding.state, finding.detail) for finding in findings]
        emit_lines(table_lines(("what", "state", "detail"), rows, width=300))
