"""The settings of a project: one `curate.toml` under environment and flags, and every value knows its source."""

from curate.settings.acquire import AcquireSettings
from curate.settings.adapters import ADAPTER_PREFIX, AdapterSettings
from curate.settings.annotators import (
    AnnotatorSettings,
    CaptionAnnotatorSettings,
    ClipAnnotatorSettings,
    LearnerAnnotatorSettings,
    LLMAnnotatorSettings,
    RuleAnnotatorSettings,
    RuleSettings,
)
from curate.settings.discover import DiscoverSettings
from curate.settings.embed import EmbedSettings
from curate.settings.filtering import ContaminationSettings, EventQualitySettings, FilterSettings, ScoreRuleSettings
from curate.settings.gate import CalibrationSettings, GateSettings
from curate.settings.load import (
    PROJECT_FILE,
    LoadedSettings,
    SettingValue,
    find_project_file,
    load_settings,
    relative_to_project,
    trace_settings,
)
from curate.settings.models import (
    AlignSettings,
    AttributeSettings,
    ConsensusSettings,
    DedupSettings,
    ExportSettings,
    FuseSettings,
    LearnerSettings,
    LineageSettings,
    MixSettings,
    ProtocolSettings,
    ReportSettings,
    ScheduleSettings,
    Settings,
    SnapshotSettings,
    SourceSettings,
    WatchSettings,
)

__all__ = [
    "ADAPTER_PREFIX",
    "PROJECT_FILE",
    "AcquireSettings",
    "AdapterSettings",
    "AlignSettings",
    "AnnotatorSettings",
    "AttributeSettings",
    "CalibrationSettings",
    "CaptionAnnotatorSettings",
    "ClipAnnotatorSettings",
    "ConsensusSettings",
    "ContaminationSettings",
    "DedupSettings",
    "DiscoverSettings",
    "EmbedSettings",
    "EventQualitySettings",
    "ExportSettings",
    "FilterSettings",
    "FuseSettings",
    "GateSettings",
    "LLMAnnotatorSettings",
    "LearnerAnnotatorSettings",
    "LearnerSettings",
    "LineageSettings",
    "LoadedSettings",
    "MixSettings",
    "ProtocolSettings",
    "ReportSettings",
    "RuleAnnotatorSettings",
    "RuleSettings",
    "ScheduleSettings",
    "ScoreRuleSettings",
    "SettingValue",
    "Settings",
    "SnapshotSettings",
    "SourceSettings",
    "WatchSettings",
    "find_project_file",
    "load_settings",
    "relative_to_project",
    "trace_settings",
]
