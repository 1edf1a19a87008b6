"""What one section cannot know by itself: names that must be unique, and names that must exist elsewhere."""

import math
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from curate.errors import ConfigurationError
from curate.settings.acquire import AcquireSettings
from curate.settings.adapting import annotating_adapters, check_adapters
from curate.settings.agreeing import check_agreeing
from curate.settings.annotators import (
    CaptionAnnotatorSettings,
    ClipAnnotatorSettings,
    LearnerAnnotatorSettings,
    LLMAnnotatorSettings,
    RuleAnnotatorSettings,
    RuleSettings,
)
from curate.settings.discover import DISCOVER
from curate.settings.filtering import ScoreRuleSettings
from curate.settings.models import (
    AttributeSettings,
    LearnerSettings,
    ScoreRangeSettings,
    Settings,
    SnapshotSettings,
    SourceSettings,
)
from curate.settings.multiple import check_multiple
from curate.settings.naming import refuse_twins, refuse_unknown
from curate.settings.protocol import ProtocolSettings
from curate.settings.selecting import check_selecting
from curate.settings.teaching import META, SOURCE, check_learner_annotators
from curate.types import TOKENIZERS

CONSENSUS = "consensus"
"""Whom a snapshot trusts when it takes the values that were drawn from all claims."""
PEOPLE = "people"
"""Whom it trusts when it takes what any person said."""
_SIGNED = re.compile(r"(?i)signature|credential|token|secret|password|^sig$|^key$|api.?key")


def check_settings(settings: Settings, place: str) -> None:
    """Refuse settings that contradict each other; `place` names the file in messages.

    Raises:
        ConfigurationError: what contradicts what.
    """
    _check_names(settings, place)
    for index, source in enumerate(settings.source):
        _check_source(source, place, f"source[{index}]")
    if settings.lineage.address:
        _check_address(settings.lineage.address, f"{place}, lineage", settings.lineage.key_variable)
    if settings.filter.contamination.enabled and not settings.filter.contamination.evaluations:
        raise ConfigurationError(
            f"{place}: filter.contamination has nothing to compare with", hint='evaluations = ["humaneval.jsonl"]'
        )
    _check_ranges(settings.filter.score, f"{place}, filter.score")
    _check_claimed(settings, f"{place}, filter.score")
    check_selecting(settings, place)
    attributes = {attribute.name: attribute for attribute in settings.protocol.attribute}
    for attribute in attributes.values():
        refuse_unknown(
            "value", attribute.descriptions, attribute.values, f"{place}, descriptions of {attribute.name!r}"
        )
    _check_protocol(settings.protocol, attributes, place)
    check_multiple(settings, place)
    check_agreeing(settings, place)
    _check_annotators(settings, attributes, place)
    for snapshot in settings.snapshot:
        _check_snapshot(settings, snapshot, f"{place}, snapshot {snapshot.name!r}")
    for policy in settings.acquire:
        _check_policy(policy, attributes, f"{place}, acquire {policy.name!r}")
    for learner in settings.learner:
        _check_learner(settings, learner, f"{place}, learner {learner.name!r}")
    check_adapters(settings, place)
    check_learner_annotators(settings, place)


def _check_annotators(settings: Settings, attributes: dict[str, AttributeSettings], place: str) -> None:
    for annotator in settings.annotator:
        where = f"{place}, annotator {annotator.name!r}"
        if isinstance(annotator, LearnerAnnotatorSettings):
            continue
        refuse_unknown("attribute", annotator.attributes, attributes, where)
        if isinstance(annotator, RuleAnnotatorSettings):
            _check_rules(annotator, attributes, where)
        elif isinstance(annotator, ClipAnnotatorSettings):
            _check_clip(annotator, attributes, where)
        elif isinstance(annotator, CaptionAnnotatorSettings):
            _check_captions(annotator, attributes, where)
        else:
            _check_llm(annotator, attributes, where)


def open_attributes(settings: Settings) -> set[str]:
    """Return the attributes whose values no list closes: what labels of the sources bring, and captions."""
    written = {one.attribute for one in settings.annotator if isinstance(one, CaptionAnnotatorSettings)}
    return {source.attribute for source in settings.source if source.label} | written


def _check_reserved(settings: Settings, place: str) -> None:
    named = [*settings.annotator, *settings.source]
    for word, meaning in ((CONSENSUS, "what all annotators' claims come to"), (PEOPLE, "every person")):
        if any(one.name == word for one in named):
            raise ConfigurationError(
                f"{place}: the name {word!r} stands for {meaning}", hint="give the annotator or source another name"
            )


def _check_names(settings: Settings, place: str) -> None:
    _check_reserved(settings, place)
    refuse_twins("source", settings.source, place)
    refuse_twins("annotator", settings.annotator, place)
    refuse_twins("snapshot", settings.snapshot, place)
    refuse_twins("learner", settings.learner, place)
    refuse_twins("adapter", settings.adapter, place)
    refuse_twins("acquire", settings.acquire, place)
    refuse_twins("attribute", settings.protocol.attribute, place)
    for name in {source.name for source in settings.source if source.label} & {one.name for one in settings.annotator}:
        raise ConfigurationError(
            f"{place}: {name!r} is a source with labels and an annotator",
            hint="rename one: a source's labels are the claims of an annotator of that name",
        )


def _check_source(source: SourceSettings, place: str, key: str) -> None:
    if not source.path and not source.command:
        raise ConfigurationError(f"{place}: {key}.path is missing", hint='write path = "…", or command = ["…"]')
    if not source.command:
        _check_no_secret(source.path, f"{place}: {key}.path")
        return
    if source.path:
        raise ConfigurationError(f"{place}: {key} has a path and a command", hint="make two sources of it")
    if not source.command[0]:
        raise ConfigurationError(f"{place}: {key}.command names no program")
    if source.format == "auto":
        raise ConfigurationError(
            f"{place}: {key}: what a command prints has no name that would tell its format", hint='format = "jsonl"'
        )


def _check_no_secret(address: str, where: str) -> None:
    """Refuse an address that holds a name and a password, or is signed: it would be kept in the store and told."""
    scheme, found, rest = address.partition("://")
    if not found:
        return
    place, _, query = rest.partition("?")
    signed = any(_SIGNED.search(part.partition("=")[0]) for part in query.split("&"))
    if "@" in place.partition("/")[0] or signed:
        raise ConfigurationError(
            f"{where}: the address {scheme}://… holds a secret, and secrets come from the environment only",
            unchanged="nothing was read or written",
            hint="such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )


def _check_protocol(protocol: ProtocolSettings, attributes: dict[str, AttributeSettings], place: str) -> None:
    """Refuse conditions and migrations that name what is not there; where migrations lead, `Protocol` knows."""
    earlier: list[str] = []
    for attribute in protocol.attribute:
        where = f"{place}, when of {attribute.name!r}"
        refuse_unknown("attribute", attribute.when, attributes, where)
        for parent, values in attribute.when.items():
            refuse_unknown("value", values, attributes[parent].values, f"{where}, attribute {parent!r}")
        if later := [parent for parent in attribute.when if parent not in earlier]:
            raise ConfigurationError(f"{where}: {later[0]!r} is asked later", hint=f"put {later[0]!r} before it")
        earlier.append(attribute.name)
    for migration in protocol.migration:
        if migration.to_version not in ("", protocol.version):
            continue
        where = f"{place}, migration from version {migration.from_version!r}"
        named = [*migration.attributes.values(), *migration.values, *migration.reworded]
        refuse_unknown("attribute", named, attributes, where)
        for name, changes in migration.values.items():
            new = [one for images in changes.values() for one in ([images] if isinstance(images, str) else images)]
            refuse_unknown("value", new, attributes[name].values, f"{where}, attribute {name!r}")


def _check_rules(annotator: RuleAnnotatorSettings, attributes: dict[str, AttributeSettings], where: str) -> None:
    for rule in annotator.rules:
        refuse_unknown("attribute", [rule.attribute], annotator.attributes or attributes, where)
        _check_rule_kind(rule, where)
        if rule.function:
            continue
        refuse_unknown(
            "value", [rule.value], attributes[rule.attribute].values, f"{where}, attribute {rule.attribute!r}"
        )
        try:
            re.compile(rule.pattern)
        except re.error as error:
            raise ConfigurationError(
                f"{where}: the pattern {rule.pattern!r} is no regular expression: {error}",
                hint="write patterns in single quotes, where TOML leaves backslashes alone",
            ) from error


def _check_rule_kind(rule: RuleSettings, where: str) -> None:
    by_pattern = bool(rule.value and rule.pattern and not rule.version)
    if bool(rule.function) == by_pattern or (rule.function and (rule.value or rule.pattern)):
        raise ConfigurationError(
            f"{where}: a rule for {rule.attribute!r} has a value and a pattern, or else a function",
            hint='function = "module:function", which returns a value or None',
        )


def _check_clip(annotator: ClipAnnotatorSettings, attributes: dict[str, AttributeSettings], where: str) -> None:
    if not attributes:
        raise ConfigurationError(f"{where} has nothing to ask", hint="add a [[protocol.attribute]]")
    for template in annotator.templates:
        if "{value}" not in template and "{description}" not in template:
            raise ConfigurationError(
                f"{where}: the template {template!r} has no place for a value",
                hint='templates = ["a photo of {value}."]',
            )
    refuse_unknown("attribute", annotator.prompts, annotator.attributes or attributes, f"{where}, prompts")
    for name, prompts in annotator.prompts.items():
        refuse_unknown("value", prompts, attributes[name].values, f"{where}, prompts, attribute {name!r}")


def _check_captions(annotator: CaptionAnnotatorSettings, attributes: Iterable[str], where: str) -> None:
    if annotator.attribute in attributes:
        raise ConfigurationError(
            f"{where}: the protocol asks {annotator.attribute!r}, and captions are no values of it",
            hint='attribute = "caption"',
        )


def _check_llm(annotator: LLMAnnotatorSettings, attributes: dict[str, AttributeSettings], where: str) -> None:
    if not attributes:
        raise ConfigurationError(f"{where} has nothing to ask", hint="add a [[protocol.attribute]]")
    if not annotator.attributes:
        raise ConfigurationError(f"{where} names no attributes", hint=f"attributes = {sorted(attributes)}")
    if "image" in annotator.modalities and (annotator.mode != "chat" or not annotator.address):
        raise ConfigurationError(
            f"{where}: only a chat model at an address can be shown images", hint='modalities = ["text"]'
        )
    if not annotator.address:
        if annotator.model:
            raise ConfigurationError(
                f"{where} names the model {annotator.model!r}, and no address where it is served",
                hint='address = "http://localhost:8080/v1"; without model and address, the embedded one is asked',
            )
        return
    _check_address(annotator.address, where, annotator.key_variable)
    if not annotator.model:
        raise ConfigurationError(f"{where}: a model must be named for {annotator.address}", hint='model = "…"')


def _check_address(address: str, where: str, key_variable: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{where}: address {address!r} does not begin with http:// or https://")
    if parts.username or parts.password:
        raise ConfigurationError(
            f"{where}: the address holds a secret, and secrets come from the environment only",
            hint=f"export {key_variable}",
        )


def _check_snapshot(settings: Settings, snapshot: SnapshotSettings, where: str) -> None:
    refuse_unknown("source", snapshot.sources, [source.name for source in settings.source], where)
    labels = {attribute.name for attribute in settings.protocol.attribute} | open_attributes(settings)
    refuse_unknown("label", [snapshot.label] if snapshot.label else [], labels, where)
    claimants = [one.name for one in settings.annotator] + [one.name for one in settings.source if one.label]
    if settings.consensus.method != "none":
        claimants.append(CONSENSUS)
    if settings.gate.people:
        claimants.append(settings.gate.people)
    claimants += [PEOPLE] if settings.protocol.attribute else []
    claimants += [DISCOVER] if settings.discover.enabled else []
    refuse_unknown("annotator", snapshot.annotators, claimants, where)
    if snapshot.strict and not snapshot.annotators:
        raise ConfigurationError(f"{where}: strict, and no annotator is named", hint='annotators = ["people"]')
    _check_asked_values(settings, snapshot, labels, where)
    _check_ranges(snapshot.scores, where)
    _check_budget(snapshot, where)
    total = math.fsum(snapshot.splits.values())
    if not math.isclose(total, 1.0, abs_tol=1e-9):
        raise ConfigurationError(f"{where}: the splits sum to {total:g}, not to 1")


def _check_asked_values(settings: Settings, snapshot: SnapshotSettings, attributes: set[str], where: str) -> None:
    """Refuse attributes that nobody asks about, and values that no claim can have."""
    asked = [*snapshot.values.items(), *((quota.attribute, tuple(quota.values)) for quota in snapshot.quotas)]
    refuse_unknown("attribute", [one for one, _ in asked if not settings.discover.names(one)], attributes, where)
    closed = {one.name: one.values for one in settings.protocol.attribute if one.name not in open_attributes(settings)}
    for attribute, values in asked:
        if attribute in closed:
            refuse_unknown("value", values, closed[attribute], f"{where}, attribute {attribute!r}")
    quotas = [quota.attribute for quota in snapshot.quotas]
    for quota in snapshot.quotas:
        if quotas.count(quota.attribute) > 1:
            raise ConfigurationError(f"{where}: two quotas of {quota.attribute!r}", hint="write them as one")
        if not quota.most and not quota.values:
            raise ConfigurationError(f"{where}: the quota of {quota.attribute!r} bounds nothing", hint="most = 100")


def _check_ranges(ranges: Sequence[ScoreRangeSettings | ScoreRuleSettings], where: str) -> None:
    selectors = [entry.selector for entry in ranges]
    for entry in ranges:
        if selectors.count(entry.selector) > 1:
            raise ConfigurationError(f"{where}: two ranges of {entry.selector!r} scores", hint="write them as one")
        if entry.min is None and entry.max is None:
            raise ConfigurationError(
                f"{where}: the range of {entry.selector!r} scores bounds nothing", hint="min = 0.5"
            )
        if entry.min is not None and entry.max is not None and entry.min > entry.max:
            raise ConfigurationError(f"{where}: no {entry.selector!r} score lies between {entry.min} and {entry.max}")


def _check_claimed(settings: Settings, where: str) -> None:
    """Refuse claims `ANNOTATOR:ATTRIBUTE=VALUE` that nobody can make."""
    asked = {attribute.name: attribute.values for attribute in settings.protocol.attribute}
    for rule in settings.filter.score:
        claim, equals, value = rule.selector.partition("=")
        annotator, colon, attribute = claim.rpartition(":")
        if not (equals and colon):
            continue
        names = [one.name for one in (*settings.annotator, *settings.source)] + [CONSENSUS]
        able = annotating_adapters(settings)
        refuse_unknown(
            "annotator", [annotator], [*names, *(f"learner:{one.name}" for one in settings.learner), *able], where
        )
        refuse_unknown("attribute", [attribute], {*asked, *open_attributes(settings)}, where)
        if attribute not in open_attributes(settings):
            refuse_unknown("value", [value], asked[attribute], f"{where}, attribute {attribute!r}")


def _check_budget(snapshot: SnapshotSettings, where: str) -> None:
    budget = snapshot.budget
    unit = "tokens" if budget.tokens else "characters"
    if (budget.tokens or budget.characters) and snapshot.modality != "text":
        raise ConfigurationError(f"{where}: {snapshot.modality} has no {unit} to budget", hint="use limit instead")
    if budget.tokens and budget.characters:
        raise ConfigurationError(f"{where}: two budgets, of characters and of tokens", hint="leave one of them out")
    if budget.tokens and not budget.tokenizer:
        raise ConfigurationError(
            f"{where}: a budget of tokens needs a tokenizer",
            hint='tokenizer = "words", or the path of a model\'s tokenizer.json',
        )
    if budget.tokenizer and not budget.tokens:
        raise ConfigurationError(f"{where}: a tokenizer without a budget of tokens", hint="tokens = 100_000")
    if budget.tokenizer and "/" not in budget.tokenizer and not budget.tokenizer.endswith(".json"):
        refuse_unknown("tokenizer", [budget.tokenizer], TOKENIZERS, where)


def _check_policy(policy: AcquireSettings, attributes: Iterable[str], where: str) -> None:
    refuse_unknown("attribute", [policy.attribute], attributes, where)
    if (policy.utility == "bandit") != (len(policy.arms) > 1):
        raise ConfigurationError(
            f"{where}: a bandit has two arms or more, and any other utility has none",
            hint='utility = "bandit", arms = ["margin", "expected-model-change", "chance"]',
        )


def _check_learner(settings: Settings, learner: LearnerSettings, where: str) -> None:
    snapshots = {snapshot.name: snapshot for snapshot in settings.snapshot}
    refuse_unknown("snapshot", [learner.snapshot], snapshots, where)
    if not snapshots[learner.snapshot].label:
        raise ConfigurationError(
            f"{where} needs labels, and snapshot {learner.snapshot!r} has none",
            hint=f'set label = "…" in [[snapshot]] {learner.snapshot!r}',
        )
    asked = [*(one.name for one in settings.protocol.attribute), *open_attributes(settings)]
    found = [one for one in learner.slices if not settings.discover.names(one)]
    refuse_unknown("attribute", found, asked, f"{where}, slices")
    columns = [f"{META}{column}" for source in settings.source for column in source.meta]
    refuse_unknown("task", [learner.task] if learner.task else [], [*asked, SOURCE, *columns], where)
