"""The rules of `[filter]` as the step asks them: of which items, and what they say."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from curate.flows.project import Project
from curate.flows.steps.evaluations import read_evaluations
from curate.select.decontamination.matching import Matcher
from curate.select.filtering import FilterRule, reason
from curate.settings import ContaminationSettings, EventQualitySettings
from curate.types import Action, Modality


class _NamingRule(Protocol):
    """Names what speaks against each content of its modality, nothing if nothing does."""

    name: str
    version: str

    def reasons(self, contents: Any, /) -> list[tuple[str, ...]]: ...


@dataclass(frozen=True, slots=True)
class ItemRule:
    """A rule about items of one modality: `reasons` says of each item what speaks against it, "" for nothing.

    `notes` are what a person should know of how the rule was made ready.
    """

    name: str
    version: str
    modality: Modality
    action: Action
    reasons: Callable[[pa.Table], list[str]]
    notes: tuple[str, ...] = ()


def enabled_rules(project: Project) -> list[ItemRule]:
    """Return the rules that are switched on.

    Raises:
        MissingExtraError: one needs packages that are not installed.
        UnknownNameError: one names what its library does not know.
        BadDataError: an evaluation set cannot be used.
    """
    settings = project.settings.filter
    rules: list[ItemRule] = []
    if (personal := settings.personal_data).enabled:
        from curate.select.privacy.personal_data import PersonalData

        found = PersonalData(personal.kinds, regions=personal.regions, allow=personal.allow)
        rules.append(_of_findings(found, personal.action))
    if (secrets := settings.secrets).enabled:
        from curate.select.privacy.credentials import Secrets

        rules.append(_of_findings(Secrets(secrets.kinds, allow=secrets.allow), secrets.action))
    if (quality := settings.quality).enabled:
        from curate.select.quality.texts import TextQuality

        texts = TextQuality(quality.sets, bounds=quality.bounds, without=quality.without)
        rules.append(_of_content("text", texts, quality.action))
    if (language := settings.language).enabled:
        from curate.select.quality.languages import Language

        spoken = Language(language.languages, language.confidence)
        rules.append(_of_content("text", spoken, language.action))
    if (images := settings.images).enabled:
        from curate.select.quality.images import ImageQuality

        seen = ImageQuality(bounds=images.bounds, without=images.without)
        rules.append(_of_content("image", seen, images.action))
    if (events := settings.events).enabled:
        rules.append(_of_content("events", _event_quality(events), events.action))
    if (contamination := settings.contamination).enabled:
        rules += _of_evaluations(project, contamination)
    return rules


def _event_quality(settings: EventQualitySettings) -> _NamingRule:
    from curate.select.quality.events import EventQuality

    return EventQuality(
        bounds=settings.bounds,
        without=settings.without,
        earliest=-math.inf if settings.earliest is None else settings.earliest,
        latest=math.inf if settings.latest is None else settings.latest,
    )


def _of_evaluations(project: Project, settings: ContaminationSettings) -> list[ItemRule]:
    from curate.select.decontamination.matching import AlignedPassages, SharedRuns

    evaluations, notes = read_evaluations(project, settings.evaluations, settings.text)
    matchers: dict[str, Matcher] = {}
    if "shared-runs" in settings.methods:
        matchers["shared runs"] = SharedRuns(evaluations, settings.share, size=settings.words)
    if "alignment" in settings.methods:
        matchers["alignment"] = AlignedPassages(evaluations, settings.share)
    rules = [_of_matches(name, matcher, settings.action) for name, matcher in matchers.items()]
    return [replace(rules[0], notes=(*notes, *rules[0].notes)), *rules[1:]]


def _of_matches(method: str, matcher: Matcher, action: Action) -> ItemRule:
    def reasons(items: pa.Table) -> list[str]:
        found = matcher.matches(items["text"].to_pylist())
        return [f"contamination: {match.evaluation} ({match.share:.0%}, {method})" if match else "" for match in found]

    left_out = matcher.uncomparable
    note = (
        f"{len(left_out)} evaluation items have nothing to compare ({method}), first {left_out[0]}" if left_out else ""
    )
    return ItemRule("contamination", matcher.version, "text", action, reasons, (note,) if note else ())


def _of_findings(rule: FilterRule, action: Action) -> ItemRule:
    def reasons(items: pa.Table) -> list[str]:
        return [reason(rule, found) if found else "" for found in rule.findings(items["text"].to_pylist())]

    return ItemRule(rule.name, rule.version, "text", action, reasons)


def _of_content(modality: Modality, rule: _NamingRule, action: Action) -> ItemRule:
    def reasons(items: pa.Table) -> list[str]:
        values = items[modality] if modality == "events" else items[modality].to_pylist()
        return [_said(rule.name, why) for why in rule.reasons(values)]

    return ItemRule(rule.name, rule.version, modality, action, reasons)


def _said(name: str, why: Sequence[str]) -> str:
    return f"{name}: {', '.join(why)}" if why else ""
