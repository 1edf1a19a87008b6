"""Whose confidences the consensus may weigh as a model's probabilities."""

from curate.errors import ConfigurationError, UnknownNameError
from curate.settings.annotators import LearnerAnnotatorSettings
from curate.settings.models import Settings

_WEIGHS_MODEL = ("bayesian", "crowdlab")


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
