"""What an adapter's section cannot know by itself: whether its snapshot has what the task needs."""

from curate.errors import ConfigurationError, UnknownNameError
from curate.settings.adapters import AdapterSettings
from curate.settings.models import Settings, SnapshotSettings


def check_adapters(settings: Settings, place: str) -> None:
    """Refuse adapters whose snapshot is not there, or has no text, no images or no labels for their task.

    Raises:
        ConfigurationError: which, and what to write instead.
    """
    snapshots = {snapshot.name: snapshot for snapshot in settings.snapshot}
    for adapter in settings.adapter:
        where = f"{place}, adapter {adapter.name!r}"
        if adapter.snapshot not in snapshots:
            raise UnknownNameError("snapshot", adapter.snapshot, snapshots, where=where)
        _check_fits(adapter, snapshots[adapter.snapshot], where)


def named_adapter(settings: Settings, name: str) -> AdapterSettings:
    """Return the adapter of this name.

    Raises:
        UnknownNameError: the project has none.
    """
    for adapter in settings.adapter:
        if adapter.name == name:
            return adapter
    raise UnknownNameError("adapter", name, [adapter.name for adapter in settings.adapter])


def annotating_adapters(settings: Settings) -> list[str]:
    """Return the adapters that can annotate, as `adapter:NAME`: those that tell classes apart."""
    return [adapter.learner for adapter in settings.adapter if adapter.classifies]


def _check_fits(adapter: AdapterSettings, snapshot: SnapshotSettings, where: str) -> None:
    if snapshot.modality != adapter.modality:
        raise ConfigurationError(
            f"{where}: the task {adapter.task!r} needs the column {adapter.modality!r}, and snapshot {snapshot.name!r} "
            f"has items of modality {snapshot.modality!r}",
            hint=f"name a snapshot with modality = {adapter.modality!r}, or another task",
        )
    if adapter.classifies and adapter.tokens:
        raise ConfigurationError(
            f"{where}: tokens end the fit of a language model only", hint="parameters = { steps = 100 }"
        )
    if adapter.modality == "image" and adapter.length:
        raise ConfigurationError(f"{where}: length counts tokens, and images have none", hint="leave length out")
    if adapter.classifies and not snapshot.label:
        raise ConfigurationError(
            f"{where}: the task {adapter.task!r} needs labels, and snapshot {snapshot.name!r} has none",
            hint=f'set label = "…" in [[snapshot]] {snapshot.name!r}',
        )
