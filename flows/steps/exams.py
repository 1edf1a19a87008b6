"""What a fitted adapter is asked before it may be served: each test item, by itself."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from curate.errors import BadDataError
from curate.flows.steps.judged import Evaluation
from curate.flows.steps.lesson_metrics import FORMULA, Measure
from curate.flows.steps.materials import Part
from curate.flows.steps.promoting import gate_rules, judged_answers
from curate.flows.steps.trainees import Trainee
from curate.learners.adapters.adapted import Adapted
from curate.learners.adapters.answers import class_probabilities, text_losses
from curate.learners.adapters.classifier import with_adapter
from curate.learners.adapters.kept_adapter import adapter_header, load_adapter
from curate.learners.adapters.texts import TextExamples
from curate.learners.numerics import Floats
from curate.learners.promotion import Verdict, judge_losses

_LOSS = "mean over the test texts of the mean cross-entropy of a text's tokens"
_BASE = f"{_LOSS}, by the base model alone"
_COUNT = "count of test items"


class Exam(ABC):
    """The test items of a snapshot as questions to one adapter after the other, in the same network."""

    def __init__(self, trainee: Trainee, part: Part) -> None:
        self._gate = trainee.settings.promotion
        self._part = part
        self.figures: dict[str, float] = {}

    @property
    def items(self) -> int:
        """How many test items there are to judge by."""
        return len(self._part.ids)

    @abstractmethod
    def measure(self, adapted: Adapted) -> list[Measure]:
        """Ask an adapter, remember what it said, and return what is measured of it."""

    @abstractmethod
    def compare(self, adapted: Adapted, served: bytes) -> Verdict:
        """Put a served checkpoint in the place of the adapter that was measured, ask it, and compare the two."""


class AnswerExam(Exam):
    """Classifiers: which items they tell rightly."""

    def __init__(self, trainee: Trainee, part: Part, classes: tuple[str, ...]) -> None:
        super().__init__(trainee, part)
        self._trainee = trainee
        self._classes = classes
        self._after = Evaluation((), np.zeros(0, np.bool_))

    def measure(self, adapted: Adapted) -> list[Measure]:
        """Return the accuracy on all items and on those of each class."""
        self._after = self._asked(adapted, self._classes)
        self.figures = {"accuracy": self._after.accuracy, "test_items": float(self.items)}
        found = []
        for name, part in self._after.parts():
            found.append(Measure("accuracy", name, part.accuracy, FORMULA))
            found.append(Measure("test items", name, float(part.items), _COUNT))
        return found

    def compare(self, adapted: Adapted, served: bytes) -> Verdict:
        """Compare right answers; a served checkpoint that knows other classes answers in a network of its own."""
        classes = tuple(adapter_header(served)["classes"])
        if classes == self._classes:
            load_adapter(served, adapted)
        else:
            adapted = with_adapter(self._trainee.base, self._trainee.method, self._trainee.task, served)
        return judged_answers(self._asked(adapted, classes), self._after, self._gate)

    def _asked(self, adapted: Adapted, classes: Sequence[str]) -> Evaluation:
        if not self.items:
            return Evaluation((), np.zeros(0, np.bool_))
        said = class_probabilities(adapted.model, self._part.examples)
        _refuse_broken(said)
        best = np.array(classes, np.str_)[said.argmax(axis=1)]
        return Evaluation(self._part.labels, best == np.array(self._part.labels, np.str_))


class LossExam(Exam):
    """Language models: how probable they find each text."""

    def measure(self, adapted: Adapted) -> list[Measure]:
        """Return the mean loss with the adapter, and that of the base model alone."""
        self._after = self._asked(adapted)
        with adapted.model.disable_adapter():
            base = self._asked(adapted)
        found = [Measure("test items", "all", float(self.items), _COUNT)]
        if self.items:
            self.figures = {"before": float(base.mean()), "after": float(self._after.mean())}
            found.append(Measure("test loss", "all", self.figures["after"], _LOSS))
            found.append(Measure("test loss before", "all", self.figures["before"], _BASE))
        self.figures["test_items"] = float(self.items)
        return found

    def compare(self, adapted: Adapted, served: bytes) -> Verdict:
        """Compare losses."""
        load_adapter(served, adapted)
        return judge_losses(self._asked(adapted), self._after, gate_rules(self._gate))

    @property
    def items(self) -> int:
        """How many texts have anything to predict."""
        return self._examples.texts

    @property
    def _examples(self) -> TextExamples:
        assert isinstance(self._part.examples, TextExamples)
        return self._part.examples

    def _asked(self, adapted: Adapted) -> Floats:
        said: Any = text_losses(adapted.model, self._examples, len(self._part.ids))
        found: Floats = said[self._examples.predicted(len(said))]
        _refuse_broken(found)
        return found


def _refuse_broken(said: Floats) -> None:
    if not np.isfinite(said).all():
        raise BadDataError(
            "what the fitted adapter says of the test items is no number",
            unchanged="the checkpoints in the store, and the promoted one",
            hint="give it a lower learning_rate",
        )


def exam_of(trainee: Trainee, classes: tuple[str, ...], part: Part) -> Exam:
    """Return the exam that fits a trainee's task."""
    return AnswerExam(trainee, part, classes) if trainee.settings.classifies else LossExam(trainee, part)
