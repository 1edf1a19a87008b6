"""The steps of the walk: plain functions over a project that read the store, compute and write."""

from curate.errors import UnknownNameError
from curate.flows.steps.acquire import AcquireStep
from curate.flows.steps.align import AlignStep
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.base import Plan, Step
from curate.flows.steps.calibrate import CalibrateStep
from curate.flows.steps.compare import CompareStep
from curate.flows.steps.consensus import ConsensusStep
from curate.flows.steps.dedup import DedupStep
from curate.flows.steps.discover import DiscoverStep
from curate.flows.steps.embed import EmbedStep
from curate.flows.steps.export import ExportStep
from curate.flows.steps.filter import FilterStep
from curate.flows.steps.filter_scores import FilterScoresStep
from curate.flows.steps.fuse import FuseStep
from curate.flows.steps.gate import GateStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.label import LabelStep
from curate.flows.steps.learn import LearnStep
from curate.flows.steps.mix import MixStep
from curate.flows.steps.report import ReportStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.flows.steps.train import TrainStep

STEPS: tuple[Step, ...] = (
    IngestStep(),
    DedupStep(),
    FilterStep(),
    EmbedStep(),
    AlignStep(),
    AnnotateStep(),
    LabelStep(),
    AcquireStep(),
    GateStep(),
    CalibrateStep(),
    ConsensusStep(),
    DiscoverStep(),
    FilterScoresStep(),
    FuseStep(),
    MixStep(),
    SnapshotStep(),
    CompareStep(),
    ExportStep(),
    LearnStep(),
    TrainStep(),
    ReportStep(),
)


def step_named(name: str) -> Step:
    """Return the step of this name.

    Raises:
        UnknownNameError: there is none.
    """
    for step in STEPS:
        if step.name == name:
            return step
    raise UnknownNameError("step", name, [step.name for step in STEPS])


__all__ = ["STEPS", "Plan", "Step", "step_named"]
