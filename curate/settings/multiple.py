"""Where an attribute that takes several values at once cannot be named."""

from collections.abc import Iterator

from curate.errors import ConfigurationError
from curate.settings.annotators import ClipAnnotatorSettings, LLMAnnotatorSettings
from curate.settings.models import Settings

_HINT = "ask yes or no for each value in an attribute of its own"


def check_multiple(settings: Settings, place: str) -> None:
    """Refuse attributes of several values where one value is wanted.

    Raises:
        ConfigurationError: where, and why not.
    """
    multiple = {attribute.name for attribute in settings.protocol.attribute if attribute.multiple}
    for where, attribute, why in _single_only(settings):
        if attribute in multiple:
            raise ConfigurationError(
                f"{place}, {where}: {why}, and the attribute {attribute!r} takes several", hint=_HINT
            )


def _single_only(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield where one value is wanted, of which attribute, and why."""
    for annotator in settings.annotator:
        where = f"annotator {annotator.name!r}"
        if isinstance(annotator, ClipAnnotatorSettings):
            names = annotator.attributes or [attribute.name for attribute in settings.protocol.attribute]
            yield from ((where, name, "an image is nearest to one value") for name in names)
        if isinstance(annotator, LLMAnnotatorSettings) and (annotator.mode != "chat" or not annotator.address):
            why = "a model that is no chat model scores values against each other"
            yield from ((where, name, why) for name in annotator.attributes)
    if settings.consensus.method == "crowdlab":
        why = "crowdlab weighs values against each other"
        yield from (("consensus", attribute.name, why) for attribute in settings.protocol.attribute)
    for policy in settings.acquire:
        yield f"acquire {policy.name!r}", policy.attribute, "its learner tells one class from the others"
    for snapshot in settings.snapshot:
        where = f"snapshot {snapshot.name!r}"
        yield from ((where, name, "values are asked for one by one") for name in snapshot.values)
        yield from ((where, quota.attribute, "a quota counts single values") for quota in snapshot.quotas)
    for rule in settings.filter.score:
        claim, equals, _ = rule.selector.partition("=")
        if equals:
            yield "filter.score", claim.rpartition(":")[2], "a claim has the value that is named or another"
