"""The step `dedup`: decide which texts say the same, against all that is kept."""

import time

import pyarrow as pa

from curate.flows.project import Project
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.select.duplicates import METHOD, Groups, group, signatures
from curate.store.signatures import smallest_by_signature
from curate.store.write import LedgerKey, rows
from curate.types import Progress, StepReport

LEDGER = LedgerKey("dedup", "1", METHOD)


class DedupStep:
    """Exact duplicates after normalisation; identical content has been one item since it came in."""

    name = "dedup"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the texts that have not been compared yet."""
        if not project.settings.dedup.enabled:
            return Plan(self.name, 0, 0, notes=("switched off in [dedup]",))
        with project.reader() as reader:
            texts = reader.manifest.figures.get("items:text", 0)
        to_do = count_pending(project, LEDGER, ["text"])
        return Plan(self.name, to_do, texts - to_do)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Sign the new texts, group them with all signatures kept, and drop all but one of each group."""
        began = time.perf_counter()
        if not project.settings.dedup.enabled:
            return step_report(self.name, began, notes=("switched off in [dedup]",))
        dropped = 0

        def compute(items: pa.Table) -> Outcome:
            nonlocal dropped
            outcome = _compare(project, items)
            dropped += len(outcome.tables["decisions"])
            return outcome

        done, failed = run_over_items(project, progress, ItemWork(LEDGER, ["text"], compute))
        return step_report(self.name, began, done=done, failed=failed, details={"dropped": dropped})


def _compare(project: Project, items: pa.Table) -> Outcome:
    ids = items["item_id"].to_pylist()
    signed = signatures(items["text"].to_pylist())
    with project.reader() as reader:
        known = smallest_by_signature(reader, METHOD, [signature for signature in signed if signature])
    groups = group(signed, ids, known)
    columns = {"item_id": items["item_id"], "method": METHOD, "signature": signed}
    return Outcome({"signatures": rows("signatures", columns), **_rows(groups)})


def _rows(groups: Groups) -> dict[str, pa.Table]:
    ids, originals = groups.duplicates["item_id"], groups.duplicates["duplicate_of"].to_pylist()
    duplicates = {"item_id": ids, "duplicate_of": originals, "similarity": 1.0, "method": METHOD}
    decisions = {"item_id": ids, "step": "dedup", "action": "drop", "reason": "duplicate"}
    return {
        "duplicates": rows("duplicates", duplicates, len(ids)),
        "decisions": rows("decisions", decisions, len(ids)),
    }
