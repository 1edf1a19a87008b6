"""A policy of the step `acquire`: where it stands, what it decides on a batch, and what it learns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import BadDataError
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.acquire_bandit import Draws, bandit_of, drawn, pay, shares
from curate.flows.steps.acquire_drift import Alarm, alarm_rows, drift_seen, errors_of
from curate.flows.steps.embeddings import KeptEncoder
from curate.learners.base import BaseLearner
from curate.learners.encoders.factory import encoder_named
from curate.learners.factory import learner_named
from curate.select.stream.account import Account, account_named
from curate.select.stream.bandit import Bandit
from curate.select.stream.budgets import REASONS
from curate.select.stream.drift import DriftDetector, detector_named
from curate.select.stream.utilities import ENOUGH, UTILITIES
from curate.settings import AcquireSettings
from curate.store.acquiring import ROUND, AcquireScope, newest_answers, newest_state
from curate.store.checkpoints import load_checkpoint, save_checkpoint
from curate.store.reader import Reader
from curate.store.work import cursor
from curate.store.write import rows
from curate.types import Encoder

_WITH_RANDOM_SHARE = ("paced", "split")
_VERSION = 2
"""Another where the same settings decide otherwise than before."""
_WITH_CLASSES = ("fixed", "selective")


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as the settings have it; `version` changes with every setting that changes what it decides."""

    settings: AcquireSettings
    encoder: Encoder
    scope: AcquireScope
    classes: int
    version: str

    @classmethod
    def of(cls, project: Project, settings: AcquireSettings) -> Policy:
        """Return the policy of a section."""
        protocol, gate = project.settings.protocol, project.settings.gate
        [attribute] = [one for one in protocol.attribute if one.name == settings.attribute]
        encoder = encoder_named(settings.encoder, project.folder)
        reserve = gate.reserve if gate.enabled else 0.0
        scope = AcquireScope(
            settings.name, protocol.name, protocol.version, settings.attribute, encoder.modalities, reserve
        )
        learner = learner_named(settings.learner, settings.parameters, settings.seed)
        how = settings.model_dump(include={"utility", "manager", "rate", "warm_up", "random_share", "budget", "seed",
                                           "horizon"})  # fmt: skip
        if settings.drift:
            how |= settings.model_dump(include={"drift", "drift_window"})
        if settings.arms:
            how |= settings.model_dump(include={"arms"})
        identity = [
            _VERSION,
            protocol.name,
            protocol.version,
            settings.attribute,
            encoder.version,
            learner.version,
            how,
        ]
        return cls(settings, encoder, scope, len(attribute.values), parameters_hash(identity))

    def account(self, spent: int, first: int = 0) -> Account:
        """Return a new account, where the policy has seen and spent so much under other settings."""
        settings = self.settings
        more: dict[str, Any] = {"horizon": max(0, settings.horizon - first)}
        if settings.manager == "paced":
            known = settings.utility in ENOUGH
            more |= {"enough": ENOUGH[settings.utility]} if known else {"savings": 0.0}
        if settings.manager in _WITH_RANDOM_SHARE:
            more["random_share"] = settings.random_share
        if settings.manager in _WITH_CLASSES:
            more["classes"] = self.classes
        most = max(0, settings.budget - spent) if settings.budget else None
        return account_named(settings.manager, settings.rate, settings.seed, loan=settings.warm_up, most=most, **more)

    def learner(self) -> BaseLearner:
        """Return a learner that has learned nothing."""
        return learner_named(self.settings.learner, self.settings.parameters, self.settings.seed)

    def detector(self) -> DriftDetector | None:
        """Return a drift detector that was told nothing, where the settings name one."""
        return detector_named(self.settings.drift) if self.settings.drift else None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a policy has come.

    `commit` is that of the last item, `position` the cursor's; `first` and `paid` are the items seen and the questions
    asked under earlier settings; `after` is the commit of the last answer that was learned, `learned` and `silent`
    count answers with and without a value. Account, learner, detector and bandit change in place. `drifts` counts
    alarms under these settings; `alarm` is what the answers that were learned last gave.
    """

    account: Account
    learner: BaseLearner
    checkpoint: str = ""
    position: str = ""
    commit: int = 0
    first: int = 0
    paid: int = 0
    after: int = 0
    learned: int = 0
    silent: int = 0
    detector: DriftDetector | None = None
    drifts: int = 0
    alarm: Alarm | None = None
    bandit: Bandit | None = None

    @property
    def seen(self) -> int:
        """The items that the policy has decided on."""
        return self.first + self.account.seen

    @property
    def spent(self) -> int:
        """The questions that it has asked."""
        return self.paid + self.account.spent

    def moved(self) -> Standing:
        """Return it with the cursor's position that belongs to it."""
        return replace(self, position=f"{self.commit}+{self.seen} {self.after}")


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided on the items of a batch, and which of them could not be encoded, with the reason.

    `draws` are the bandit's, where there is one and the learner knew enough to be asked for utilities.
    """

    ids: Sequence[str]
    first: int
    predicted: Sequence[str]
    utilities: NDArray[np.float64]
    propensities: NDArray[np.float64]
    reasons: NDArray[np.int8]
    failures: Mapping[str, str]
    draws: Draws | None = None


def standing_of(project: Project, reader: Reader, policy: Policy) -> Standing:
    """Return where a policy stands; with other settings than before, a new account at the next item.

    Its learner then learns all answers anew.
    """
    position = cursor(reader, f"acquire/{policy.settings.name}")
    commit = int(position.partition("+")[0] or 0)
    kept = newest_state(reader, policy.settings.name)
    if kept is None:
        return Standing(
            policy.account(0), policy.learner(), position=position, commit=commit, detector=policy.detector(),
            bandit=bandit_of(policy.settings),
        )  # fmt: skip
    if kept["version"] != policy.version:
        account = policy.account(kept["spent"], kept["seen"])
        return Standing(
            account, policy.learner(), "", position, commit, kept["seen"], kept["spent"], detector=policy.detector(),
            bandit=bandit_of(policy.settings),
        )  # fmt: skip
    state = json.loads(kept["state"])
    account, learner, detector = policy.account(state["paid"], state["first"]), policy.learner(), policy.detector()
    account.load(state["account"])
    if detector:
        detector.load(state["detector"])
    if bandit := bandit_of(policy.settings):
        bandit.load(state["bandit"])
    if kept["checkpoint"]:
        learner.load(load_checkpoint(project.store_folder, kept["checkpoint"]))
    return Standing(
        account, learner, kept["checkpoint"], position, commit, state["first"], state["paid"], state["after"],
        kept["learned"], kept["silent"], detector, state.get("drifts", 0), bandit=bandit,
    )  # fmt: skip


def learn(
    project: Project, policy: Policy, standing: Standing, answers: pa.Table, known: dict[str, NDArray[np.float32]]
) -> Standing:
    """Let the learner learn what people have said, in the order in which it came; it counts what has no value.

    Its errors on these reward the bandit, and where they tell of a drift, it begins anew with the newest answers.
    `known` are features of items by their ids; what is learned is taken out.
    """
    standing = replace(standing, alarm=None)
    if not len(answers):
        return standing
    valued = answers.filter(pa.array([bool(value) for value in answers["value"].to_pylist()]))
    silent = len(answers) - len(valued)
    after = max(standing.after, *answers["commit_number"].to_pylist())
    learned = replace(standing, after=after, learned=standing.learned + len(valued), silent=standing.silent + silent)
    if len(valued):
        features = _features(project, policy, valued, known)
        values = valued["value"].to_pylist()
        drifted = _heard(project, policy, standing, valued, features)
        standing.learner.learn(features, values)
        learned = _begun_anew(project, policy, learned, known) if drifted else learned
        for item in set(valued["item_id"].to_pylist()):
            del known[item]
    return learned.moved()


def _heard(
    project: Project, policy: Policy, standing: Standing, answers: pa.Table, features: NDArray[np.float32]
) -> bool:
    """Tell bandit and detector how wrong the learner is about answers before it learns them; whether it is a drift."""
    bandit, detector = standing.bandit, standing.detector
    if not (bandit or detector):
        return False
    errors = errors_of(standing.learner, features, answers["value"].to_pylist())
    if bandit and errors:
        pay(project, bandit, policy.settings.name, policy.version, answers, errors)
    return detector is not None and drift_seen(detector, errors)


def _begun_anew(
    project: Project, policy: Policy, standing: Standing, known: Mapping[str, NDArray[np.float32]]
) -> Standing:
    """Return the standing with a new learner that knows the newest answers only, and the alarm that made it so."""
    settings, learner = policy.settings, policy.learner()
    with project.reader() as reader:
        newest = newest_answers(reader, policy.scope, standing.after, settings.drift_window)
    learner.learn(_features(project, policy, newest, dict(known)), newest["value"].to_pylist())
    alarm = Alarm(settings.drift, standing.seen, standing.learned)
    return replace(standing, learner=learner, drifts=standing.drifts + 1, alarm=alarm)


def _features(
    project: Project, policy: Policy, answers: pa.Table, known: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The features of what was answered, one row for each answer; they join the `known` ones."""
    ids = answers["item_id"].to_pylist()
    _fetch(project, policy, [item for item in set(ids) if item not in known], known)
    return np.stack([known[item] for item in ids])


def _fetch(project: Project, policy: Policy, ids: list[str], known: dict[str, NDArray[np.float32]]) -> None:
    """Add the features of items to the known ones."""
    if not ids:
        return
    with project.reader() as reader:
        content = reader.find("items", "item_id", ids, _CONTENT)
        features = KeptEncoder(policy.encoder, reader).encode(content)
    known.update(zip(content["item_id"].to_pylist(), features, strict=True))


_CONTENT = ("item_id", "modality", "text", "image", "events")


def decide(
    project: Project, policy: Policy, standing: Standing, items: pa.Table, known: dict[str, NDArray[np.float32]]
) -> tuple[Standing, Decided]:
    """Decide on a batch: its utilities in the eyes of the learner, and which of it are asked about.

    The features of these join the `known` ones.
    """
    first = standing.seen
    features, items, failures = _encoded(project, policy, items)
    predicted, utilities, draws = _seen(policy, standing, features)
    reasons, propensities = standing.account.decide(utilities)
    decided = Decided(items["item_id"].to_pylist(), first, predicted, utilities, propensities, reasons, failures, draws)
    known.update((decided.ids[place], features[place].copy()) for place in np.flatnonzero(reasons).tolist())
    commits = items["commit_number"].to_pylist()
    after = replace(standing, commit=commits[-1] if commits else standing.commit)
    return after.moved(), decided


def _encoded(project: Project, policy: Policy, items: pa.Table) -> tuple[Any, pa.Table, dict[str, str]]:
    """The features of a batch, or of those of its items that can be encoded, and why the others cannot."""
    with ExitStack() as stack:
        encoder: Encoder = policy.encoder
        if encoder.costly:
            encoder = KeptEncoder(encoder, stack.enter_context(project.reader()))
        try:
            return encoder.encode(items), items, {}
        except BadDataError:
            failures: dict[str, str] = {}
        parts = []
        for place, item in enumerate(items["item_id"].to_pylist()):
            try:
                parts.append(encoder.encode(items.slice(place, 1)))
            except BadDataError as error:
                failures[item] = error.message
    kept = items.filter(pa.array([item not in failures for item in items["item_id"].to_pylist()]))
    features = np.concatenate(parts) if parts else np.zeros((0, encoder.dimension), np.float32)
    return features, kept, failures


def _seen(policy: Policy, standing: Standing, features: Any) -> tuple[list[str], NDArray[np.float64], Draws | None]:
    """What the learner takes the items for, their utilities, and what the bandit drew.

    All utilities are 1 where the learner does not know two classes yet.
    """
    learner = standing.learner
    if not learner.classes:
        return [""] * len(features), np.ones(len(features)), None
    probabilities = learner.predict(features)
    names = np.array(learner.classes)
    predicted: list[str] = names[probabilities.argmax(axis=1)].tolist() if len(features) else []
    if len(names) < 2:
        return predicted, np.ones(len(features)), None
    if standing.bandit:
        return predicted, *drawn(standing.bandit, policy.settings.seed, standing.seen, probabilities, features)
    return predicted, UTILITIES[policy.settings.utility](probabilities, features), None


def tables_of(project: Project, policy: Policy, standing: Standing, decided: Decided | None) -> dict[str, pa.Table]:
    """Return the rows of one commit: decisions, questions, and the policy's state, whose checkpoint is on disk then."""
    checkpoint = standing.checkpoint
    if standing.learner.classes:
        checkpoint = save_checkpoint(project.store_folder, standing.learner.state())
    state = _state(standing)
    if decided and decided.draws:
        state["draws"] = decided.draws.kept(decided.first, decided.reasons)
    columns = {
        "policy": policy.settings.name,
        "version": policy.version,
        "seen": standing.seen,
        "spent": standing.spent,
        "learned": standing.learned,
        "silent": standing.silent,
        "state": json.dumps(state, sort_keys=True),
        "checkpoint": checkpoint,
    }
    tables = {"policies": rows("policies", columns, 1)}
    if standing.alarm:
        tables["metrics"] = alarm_rows(policy.settings.name, policy.version, standing.alarm)
    return tables if decided is None else tables | _decision_tables(policy, decided)


def _state(standing: Standing) -> dict[str, Any]:
    """All that a policy goes on from beside its learner, as JSON keeps it to the bit."""
    state = {name: getattr(standing, name) for name in ("first", "paid", "after")}
    state["account"] = standing.account.state()
    if standing.detector:
        state |= {"detector": standing.detector.state(), "drifts": standing.drifts}
    if standing.bandit:
        state |= {"bandit": standing.bandit.state(), "arms": shares(standing.bandit)}
    return state


def _decision_tables(policy: Policy, decided: Decided) -> dict[str, pa.Table]:
    asked = np.flatnonzero(decided.reasons)
    question = {
        "protocol": policy.scope.protocol,
        "protocol_version": policy.scope.version,
        "attribute": policy.scope.attribute,
    }
    decisions = {
        **question,
        "item_id": pa.array(decided.ids, pa.string()),
        "policy": policy.settings.name,
        "version": policy.version,
        "place": pa.array(np.arange(len(decided.ids)) + decided.first + 1),
        "predicted": pa.array(decided.predicted, pa.string()),
        "utility": pa.array(decided.utilities),
        "propensity": pa.array(decided.propensities),
        "reason": pa.array(np.array(REASONS)[decided.reasons].tolist(), pa.string()),
    }
    questions = {
        **question,
        "item_id": [decided.ids[int(place)] for place in asked],
        "kind": "label",
        "priority": pa.array(decided.utilities[asked]),
        "answers": 1,
        "round": ROUND,
    }
    failures = {
        "item_id": list(decided.failures),
        "step": "acquire",
        "actor": policy.settings.name,
        "reason": list(decided.failures.values()),
    }
    tables = {
        "acquisitions": rows("acquisitions", decisions, len(decided.ids)),
        "queue": rows("queue", questions, len(asked)),
        "failures": rows("failures", failures, len(decided.failures)),
    }
    return {name: table for name, table in tables.items() if len(table)}
