"""Learners that annotate: whose claims they are, and that none of them learns from its own."""

from collections.abc import Iterator, Sequence

from curate.errors import ConfigurationError, UnknownNameError
from curate.settings.adapters import ADAPTER_PREFIX, AdapterSettings
from curate.settings.adapting import annotating_adapters, named_adapter
from curate.settings.annotators import AnnotatorSettings, LearnerAnnotatorSettings
from curate.settings.models import LearnerSettings, Settings, SnapshotSettings

LEARNER_PREFIX = "learner:"
"""Marks the annotator that a learner is where no `[[annotator]]` names it."""
SOURCE, META = "source", "meta:"
"""What a learner's `task` may be beside an attribute: the name of an item's source, or a column kept beside it."""


def check_learner_annotators(settings: Settings, place: str) -> None:
    """Refuse annotators of learners that are not there, that answer what nobody asks, or that teach themselves.

    Raises:
        ConfigurationError: which, and what to write instead.
    """
    own = list(_learner_annotators(settings))
    for annotator in own:
        where = f"{place}, annotator {annotator.name!r}"
        _check_there(settings, annotator, where)
        label = taught_snapshot(settings, annotator).label
        asked = [attribute.name for attribute in settings.protocol.attribute]
        if label not in asked:
            raise ConfigurationError(
                f"{where}: learner {annotator.learner!r} tells {label!r}, and the protocol has no such attribute",
                hint=f'add a [[protocol.attribute]] with name = "{label}" and its values',
            )
    for annotator in own:
        _check_teachers(settings, annotator, f"{place}, annotator {annotator.name!r}")


def _check_there(settings: Settings, annotator: LearnerAnnotatorSettings, where: str) -> None:
    known = [*(learner.name for learner in settings.learner), *annotating_adapters(settings)]
    if annotator.learner in [adapter.learner for adapter in settings.adapter if not adapter.classifies]:
        raise ConfigurationError(
            f"{where}: the adapter {annotator.learner!r} continues texts, and tells no classes apart",
            hint=f"known: {', '.join(known) or 'none'}",
        )
    if annotator.learner not in known:
        raise UnknownNameError("learner", annotator.learner, known, where=where)


def taught_snapshot(settings: Settings, annotator: LearnerAnnotatorSettings) -> SnapshotSettings:
    """Return the snapshot that the annotator's learner consumes, or its adapter is fitted to."""
    taught: LearnerSettings | AdapterSettings
    if annotator.learner.startswith(ADAPTER_PREFIX):
        taught = named_adapter(settings, annotator.learner.removeprefix(ADAPTER_PREFIX))
    else:
        taught = named_learner(settings, annotator.learner)
    return next(snapshot for snapshot in settings.snapshot if snapshot.name == taught.snapshot)


def named_learner(settings: Settings, name: str) -> LearnerSettings:
    """Return the learner of this name; `check_settings` has seen to it that it is there."""
    return next(learner for learner in settings.learner if learner.name == name)


def with_annotator(settings: Settings, name: str) -> Settings:
    """Return the settings with one annotator alone: an `[[annotator]]`, `learner:NAME` or `adapter:NAME`.

    A learner or adapter that an `[[annotator]]` names is that annotator; else its claims bear the name that is given.

    Raises:
        UnknownNameError: there is none of this name.
        ConfigurationError: the learner would learn from its own claims.
    """
    named: Sequence[AnnotatorSettings] = [one for one in settings.annotator if one.name == name]
    learner = name.removeprefix(LEARNER_PREFIX)
    if not named and (learner != name or name.startswith(ADAPTER_PREFIX)):
        named = [one for one in _learner_annotators(settings) if one.learner == learner]
        able = [one.name for one in settings.learner] + [one.learner for one in settings.adapter]
        if not named and learner in able:
            added = LearnerAnnotatorSettings.model_construct(name=name, learner=learner)
            check_learner_annotators(settings.model_copy(update={"annotator": (*settings.annotator, added)}), "--with")
            named = [added]
    if not named:
        known = [one.name for one in settings.annotator] + [LEARNER_PREFIX + one.name for one in settings.learner]
        known += annotating_adapters(settings)
        raise UnknownNameError("annotator", name, known, where="--with")
    return settings.model_copy(update={"annotator": tuple(named)})


def _learner_annotators(settings: Settings) -> Iterator[LearnerAnnotatorSettings]:
    return (one for one in settings.annotator if isinstance(one, LearnerAnnotatorSettings))


def _check_teachers(settings: Settings, annotator: LearnerAnnotatorSettings, where: str) -> None:
    """Refuse a learner whose snapshot takes its own claims as labels, be it by way of another learner."""
    seen: list[str] = []
    waiting = [annotator]
    while waiting:
        snapshot = taught_snapshot(settings, waiting.pop())
        for teacher in _teachers(settings, snapshot):
            if teacher.name == annotator.name:
                raise ConfigurationError(
                    f"{where}: learner {annotator.learner!r} would learn from its own claims: "
                    f"snapshot {snapshot.name!r} takes them as labels",
                    unchanged="nothing was read or written",
                    hint=_remedy(settings, snapshot),
                )
            if teacher.name not in seen:
                seen.append(teacher.name)
                waiting.append(teacher)


def _teachers(settings: Settings, snapshot: SnapshotSettings) -> list[LearnerAnnotatorSettings]:
    """The learners whose claims can become labels of a snapshot."""
    able = [one for one in _learner_annotators(settings) if taught_snapshot(settings, one).label == snapshot.label]
    if not snapshot.strict or (_trusts_consensus(snapshot) and settings.consensus.learners):
        return able
    return [one for one in able if one.name in snapshot.annotators]


def _trusts_consensus(snapshot: SnapshotSettings) -> bool:
    return "consensus" in snapshot.annotators


def _remedy(settings: Settings, snapshot: SnapshotSettings) -> str:
    if snapshot.strict and _trusts_consensus(snapshot) and settings.consensus.learners:
        return "learners = false in [consensus]"
    learners = [one.name for one in _learner_annotators(settings)]
    trusted = [name for name in snapshot.annotators if name not in learners] or ["people"]
    named = ", ".join(f'"{name}"' for name in trusted)
    return f"strict = true and annotators = [{named}] in [[snapshot]] {snapshot.name!r}"
