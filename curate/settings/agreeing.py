"""Whose confidences the consensus may weigh as a model's probabilities, and whom the gate may judge."""

from curate.errors import ConfigurationError, UnknownNameError
from curate.settings.adapting import annotating_adapters
from curate.settings.annotators import LearnerAnnotatorSettings
from curate.settings.models import Settings
from curate.settings.teaching import LEARNER_PREFIX

_WEIGHS_MODEL = ("bayesian", "crowdlab")


def check_agreeing(settings: Settings, place: str) -> None:
    """Refuse a consensus or a gate that cannot do what it is told, with whoever is named there.

    Raises:
        ConfigurationError: what, and what to write instead.
    """
    check_consensus(settings, place)
    check_gate(settings, place)


def check_gate(settings: Settings, place: str) -> None:
    """Refuse a gate that judges somebody who is not there: audits would be spent on nobody.

    Raises:
        UnknownNameError: no annotator, learner or source with labels has the name.
    """
    known = [one.name for one in settings.annotator] + [one.name for one in settings.source if one.label]
    known += [LEARNER_PREFIX + one.name for one in settings.learner] + annotating_adapters(settings)
    for name in settings.gate.annotators:
        if name not in known:
            raise UnknownNameError("annotator", name, known, where=f"{place}, gate")


def check_consensus(settings: Settings, place: str) -> None:
    """Refuse a model that is no annotator, that has no say, or that the method cannot weigh, and CROWDLAB without one.

    Raises:
        ConfigurationError: which, and what to write instead.
    """
    method, model = settings.consensus.method, settings.consensus.model
    where = f"{place}, consensus"
    if method == "crowdlab" and not model:
        raise ConfigurationError(
            f"{where}: crowdlab weighs people against a model, and none is named", hint='model = "…", an annotator'
        )
    if not model:
        return
    if method not in _WEIGHS_MODEL:
        raise ConfigurationError(f"{where}: {method} knows no model", hint='method = "bayesian" or "crowdlab"')
    annotators = {one.name: one for one in settings.annotator}
    if model not in annotators:
        raise UnknownNameError("annotator", model, annotators, where=f"{where}, model")
    if isinstance(annotators[model], LearnerAnnotatorSettings) and not settings.consensus.learners:
        raise ConfigurationError(f"{where}: the model {model!r} is a learner, and has no say", hint="learners = true")
