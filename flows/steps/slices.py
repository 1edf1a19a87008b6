"""Where a checkpoint errs: its error on each subpopulation of the items that it was not taught, kept as metrics."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotate.discovery.slices import Slice, find_slices, slices_of
from curate.annotate.discovery.structure import Structure
from curate.flows.project import Project
from curate.flows.steps.increments import Pupil, told_rightly
from curate.store.checkpoints import load_checkpoint, newest_checkpoint
from curate.store.snapshots import snapshot_items
from curate.store.subpopulations import newest_structure, structure_names, subpopulations_of
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows

CONSUMER = "slices"
SUBJECT = "slice "
_FORMULA = "wrong / items of the subpopulation in validation and test; bounds hold for all of them together"
_TOLD = 3


def measure_slices(project: Project, pupil: Pupil) -> list[str]:
    """Measure a learner's newest checkpoint on every structure's subpopulations, once; return what was confirmed.

    Validation and test items are halved by a hash: slices are found on one half, and count where the other confirms
    them. Memory: the features of these items, 4,096 at a time.
    """
    with project.reader() as reader:
        names = structure_names(reader)
    return [note for name in names for note in _measured(project, pupil, name)]


def _measured(project: Project, pupil: Pupil, name: str) -> list[str]:
    with project.reader() as reader:
        learner = pupil.make()
        newest = newest_checkpoint(reader, pupil.name, learner.version, pupil.encoder.version, pupil.snapshot)
        known = newest_structure(reader, name)
        if newest is None or known is None:
            return []
        structure = Structure.from_mapping(known)
        version = structure.version
        key, before = f"{pupil.name}/{name}", cursor(reader, CONSUMER, f"{pupil.name}/{name}")
        if before == f"{newest.name} {version}":
            return []
        items = snapshot_items(reader, pupil.snapshot, newest.number, ["validation", "test"])
        items = items.filter(pc.is_valid(items["label"]))
        where = subpopulations_of(reader, name, version, items["item_id"].to_pylist())
        items = items.filter(pc.is_in(items["item_id"], value_set=pa.array(list(where), pa.string())))
        if not len(items):
            return []
        learner.load(load_checkpoint(project.store_folder, newest.name))
        ids = items["item_id"].to_pylist()
        names = [slices_of(where[one], with_class=bool(structure.of_class)) for one in ids]
        found = find_slices(names, told_rightly(reader, pupil, learner, items).right, ids)
    move = CursorMove(CONSUMER, key, before, f"{newest.name} {version}")
    metrics = _rows(pupil, newest.name, newest.number, f"{name}/{version}", found)
    project.store.commit(Write("learn", {"metrics": metrics}, [move]))
    return [f"{pupil.name}: {one.sentence()}" for one in found if one.confirmed][:_TOLD]


def _rows(pupil: Pupil, checkpoint: str, number: int, structure: str, found: list[Slice]) -> pa.Table:
    told = [
        (name, one.name, value)
        for one in found
        for name, value in (
            ("error", one.held_out.value),
            ("error low", one.held_out.low),
            ("error high", one.held_out.high),
            ("items", float(one.items)),
            ("confirmed", float(one.confirmed)),
        )
    ]
    columns = {
        "subject": f"{SUBJECT}{structure} of {pupil.name}",
        "checkpoint": checkpoint,
        "snapshot": pupil.snapshot,
        "number": number,
        "name": [name for name, _, _ in told],
        "slice": [subpopulation for _, subpopulation, _ in told],
        "value": [value for _, _, value in told],
        "formula": _FORMULA,
    }
    return rows("metrics", columns, len(told))
