"""Carrying answers over to a new version of the protocol: appended in its words, the old rows stay as they are."""

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotate.migration import paths, readings
from curate.annotate.protocol import Protocol
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.annotators import CARRIED, project_protocol, protocol_rows
from curate.flows.steps.base import BATCH_ROWS
from curate.store.readings import definitions, newest_old_answer, old_answers, said_lists
from curate.store.schema import table
from curate.store.work import batches, cursor
from curate.store.write import CursorMove, Write, rows

STEP = "protocol"


@dataclass(frozen=True, slots=True)
class _Old:
    """Answers to older versions, read in the words of this one, and the cursor's move behind them."""

    protocol: Protocol
    move: CursorMove
    claims: pa.Table
    abstentions: pa.Table


def carry_over(project: Project) -> int:
    """Append what answers to older versions of the protocol say in the newest one; return how many there were.

    It looks only where the protocol has migrations and old answers came in since the last time. A carried claim has its
    annotator's name and version, followed by `@` and the version of the protocol that was answered; a person's keeps
    their turn. Interrupted, it goes on where it was.
    """
    old = _old(project)
    if old is None:
        return 0
    for part in batches(old.claims, BATCH_ROWS):
        project.store.commit(Write(STEP, {"annotations": _claims(old.protocol, part)}))
    last = {**protocol_rows(old.protocol), "abstentions": _abstentions(old.protocol, old.abstentions)}
    project.store.commit(Write(STEP, last, [old.move]))
    return len(old.claims)


def would_carry(project: Project) -> pa.Table:
    """Return the claims that `carry_over` would append now, and write nothing."""
    old = _old(project)
    return table("annotations").schema.empty_table() if old is None else _claims(old.protocol, old.claims)


def _old(project: Project) -> _Old | None:
    """Read what is to be carried over; None where nothing is."""
    if not project.settings.protocol.migration:
        return None
    protocol = project_protocol(project)
    consumer = f"{STEP}/1/{parameters_hash([protocol.definition(), *map(repr, protocol.migrations)])}"
    with project.reader() as reader:
        before = cursor(reader, consumer)
        newest = newest_old_answer(reader, protocol.name, protocol.version)
        if newest <= int(before or 0):
            return None
        known = definitions(reader, protocol.name)
        old = {version: _parsed(known[version]) for version in paths(protocol) if version in known}
        for one in protocol.migrations:
            if one.from_version in old:
                one.check_old(old[one.from_version])
        said = {version: said_lists(reader, protocol.name, version) for version in old}
        changes = {version: readings(protocol, one, said[version], old.values()) for version, one in old.items()}
        claims, abstentions = old_answers(reader, protocol.name, protocol.version, changes)
    return _Old(protocol, CursorMove(consumer, "", before, str(newest)), claims, abstentions)


def unversioned_change(project: Project) -> str:
    """Say that the protocol is not what its version was when it was first used; "" where it is."""
    if not (project.settings.annotator and project.settings.protocol.attribute):
        return ""
    protocol = project_protocol(project)
    with project.reader() as reader:
        known = definitions(reader, protocol.name).get(protocol.version)
    if known is None or known == protocol.definition():
        return ""
    return (
        f"protocol {protocol.name!r} has changed since its version {protocol.version!r} was first used: "
        "give it another version, and a [[protocol.migration]] that says what old answers mean"
    )


def _parsed(definition: str) -> Protocol:
    return Protocol.from_mapping(json.loads(definition))


def _claims(protocol: Protocol, claims: pa.Table) -> pa.Table:
    version, kind = claims["annotator_version"], claims["annotator_kind"]
    marked = pc.binary_join_element_wise(version, claims["said_in"], CARRIED)
    as_it_was = pc.or_(pc.equal(kind, "human"), pc.match_substring(version, CARRIED))
    columns = {name: claims[name] for name in ("item_id", "attribute", "value", "confidence", "annotator")}
    more = {"annotator_kind": kind, "annotator_version": pc.if_else(as_it_was, version, marked)}
    named = {"protocol": protocol.name, "protocol_version": protocol.version}
    return rows("annotations", columns | more | named, len(claims))


def _abstentions(protocol: Protocol, found: pa.Table) -> pa.Table:
    columns = {name: found[name] for name in ("item_id", "attribute", "reason", "annotator", "annotator_version")}
    return rows("abstentions", columns | {"protocol": protocol.name, "protocol_version": protocol.version}, len(found))
