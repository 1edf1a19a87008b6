"""What people's answers say where several values may be chosen at once: each value is there or not, by itself.

An answer is a number with a bit for the place of each of its values (`Attribute.number`). A person who errs in a share
of all answers errs evenly over the values, so a whole answer is right as often as one of a single value. What is said
of a proposal is said of the whole of it: it is right where each of its values is, and none is missing.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from curate.annotate.audits import MODEL_SHARE, TRUST

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]


def list_evidence(answer: int, values: int, noise: float) -> Numbers:
    """Return log p(answer | the value is there) - log p(answer | it is not) for each value: float64 of shape (values,).

    >>> list_evidence(0b01, 2, 0.19).round(2).tolist()
    [2.2, -2.2]
    """
    right = np.clip((1 - noise) ** (1 / values), 1e-9, 1 - 1e-9)
    evidence: Numbers = _signs(np.array([answer]), values)[0] * log(right / (1 - right))
    return evidence


def chance_right_lists(proposed: Positions, evidence: Numbers) -> Numbers:
    """Return p(the proposal is right | people's answers) of each item, as `audits.chance_right` does for one value.

    Args:
        proposed: the proposed answer of each item, int64 of shape (items,).
        evidence: the sums of `list_evidence`, float64 of shape (items, values).
    """
    values = evidence.shape[1]
    prior = TRUST ** (1 / values)
    logarithm = log(prior / (1 - prior)) + _signs(proposed, values) * evidence
    chance: Numbers = _logistic(logarithm).prod(axis=1)
    return chance


def list_answer_gain(
    proposed: Positions, confidence: Numbers, evidence: Numbers, answers: Positions, noise: float
) -> Numbers:
    """Return by how much one more answer would raise the chance that the most probable answer is the true one.

    As `priorities.answer_gain` does for one value, with the values of an item as independent of each other. Without a
    proposal (-1) each value is as likely there as not.

    Args:
        proposed: the proposed answer of each item, -1 for none, int64 of shape (items,).
        confidence: how sure each proposal is, float64 of shape (items,).
        evidence: the sums of `list_evidence`, float64 of shape (items, values).
        answers: how many people have answered, int64 of shape (items,).
        noise: in what share of all answers people err.
    """
    values = evidence.shape[1]
    sure = np.clip(confidence, 0.5**values, 1 - 1e-9) ** (1 / values)
    told = _signs(proposed, values) * np.log(sure / (1 - sure))[:, None]
    told[answers > 0] *= MODEL_SHARE
    told[proposed < 0] = 0.0
    there = _logistic(told + evidence)
    right = (1 - noise) ** (1 / values)
    likeliest = np.maximum(there, 1 - there)
    # The answer is "there" or "not there"; after each the likelier of both is believed.
    said = np.maximum(there * right, (1 - there) * (1 - right)) + np.maximum(there * (1 - right), (1 - there) * right)
    gain: Numbers = np.maximum(said.prod(axis=1) - likeliest.prod(axis=1), 0.0)
    return gain


def _signs(answers: Positions, values: int) -> Numbers:
    """Return 1 for each value that an answer chooses and -1 for each other: float64 of shape (answers, values)."""
    bits = (answers[:, None] >> np.arange(values)) & 1
    signs: Numbers = (2 * bits - 1).astype(np.float64)
    return signs


def _logistic(logarithm: Numbers) -> Numbers:
    result: Numbers = np.reciprocal(1 + np.exp(-np.clip(logarithm, -700, 700)))
    return result
