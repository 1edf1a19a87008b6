"""Asking a base model: the values of each attribute scored by the probability with which the model would go on.

Contextual calibration (Zhao et al., "Calibrate Before Use", ICML 2021): a small model prefers some values whatever
the text says, so each value's log-probability is taken relative to the one on texts that say nothing about it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from curate.annotate.batches import Content
from curate.annotate.llm.examples import Example, balanced, excerpt
from curate.annotate.llm.ways import Ask, Opinion, UnusableAnswerError, first_choice
from curate.annotate.protocol import Attribute

_TEMPLATE = 1  # raised whenever the wording or the scoring below changes, so that versions change with it
CONTENT_FREE = ("N/A", "[MASK]", "lorem ipsum")
_SMALLEST = -30.0  # the log-probability of what no server would list

Probabilities = dict[str, float]


class CompletionWay:
    """One request per text and attribute over `/completions`, one token long: what would the model write next?

    The prompt begins with up to `examples_per_value` examples of each value (for want of one, its description), each
    cut to `example_characters`, and ends with the text; what is shared comes first, so that a server's prefix cache
    meets it. A value's probability is that of the listed tokens that begin it and no other value; values
    that begin alike, such as "C" and "C++", take a further request each time the longest listed token of one begins
    the other too. So no tokenizer is needed, and the confidence is the calibrated probability among the values.

    Calibration texts are further examples, as many of each value; where there are not enough, `CONTENT_FREE`.
    """

    path = "/completions"

    def __init__(
        self,
        model: str,
        attributes: Sequence[Attribute],
        examples: Sequence[Example] = (),
        *,
        excerpt_characters: int = 600,
        example_characters: int = 150,
        examples_per_value: int = 3,
        top_log_probabilities: int = 100,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.attributes = tuple(attributes)
        self.excerpt_characters = excerpt_characters
        self.example_characters = example_characters
        self._shared: dict[str, str] = {}
        self._neutral: dict[str, tuple[str, ...]] = {}
        self._usual: dict[str, Mapping[str, float]] = {}
        for attribute in self.attributes:
            shown, others = balanced(examples, attribute, examples_per_value)
            self._shared[attribute.name] = "".join(self._shown(attribute, example) for example in shown)
            self._neutral[attribute.name] = tuple(example.text for example in others) or CONTENT_FREE
        basic = {"model": model, "temperature": 0, "max_tokens": 1, "logprobs": top_log_probabilities}
        self._parameters = {**basic, **(parameters or {})}

    @property
    def parts(self) -> Sequence[str]:
        """The attributes' names: each has a prompt of its own."""
        return [attribute.name for attribute in self.attributes]

    def preparation(self) -> Sequence[Mapping[str, Any]]:
        """Return the requests that measure what the model says about the calibration texts."""
        return [
            self._request(self._prompt(attribute, text))
            for attribute in self.attributes
            for text in self._neutral[attribute.name]
        ]

    def requests(self, shown: Content, part: str = "") -> Sequence[Mapping[str, Any]]:
        """Return one request per attribute; values that begin alike may need more."""
        assert isinstance(shown, str)
        return [self._request(self._prompt(attribute, shown)) for attribute in self._asked(part)]

    def opinions(self, shown: Content, ask: Ask, part: str = "") -> list[Opinion]:
        """Score the values of each attribute, or of one, for a text.

        Raises:
            UnusableAnswerError: the server lists no log-probabilities.
        """
        assert isinstance(shown, str)
        return [self._opinion(attribute, shown, ask) for attribute in self._asked(part)]

    def definition(self) -> Mapping[str, Any]:
        """Return what the version is made of: every request but for its text."""
        template = {"way": "completion", "template": _TEMPLATE, "excerpt": self.excerpt_characters}
        return {**template, "shared": self._shared, "neutral": self._neutral, "parameters": self._parameters}

    def _asked(self, part: str) -> Sequence[Attribute]:
        return [attribute for attribute in self.attributes if part in ("", attribute.name)]

    def _opinion(self, attribute: Attribute, text: str, ask: Ask) -> Opinion:
        scores, usual = self.scores(attribute, text, ask), self._usual_scores(attribute, ask)
        relative = {value: scores[value] - usual[value] for value in attribute.values}
        highest = max(relative.values())
        weights = {value: math.exp(score - highest) for value, score in relative.items()}
        best = max(attribute.values, key=weights.__getitem__)
        return Opinion(attribute.name, best, weights[best] / math.fsum(weights.values()))

    def _usual_scores(self, attribute: Attribute, ask: Ask) -> Mapping[str, float]:
        """Return the mean score of each value over the calibration texts; it is measured once."""
        if attribute.name not in self._usual:
            scores = [self.scores(attribute, text, ask) for text in self._neutral[attribute.name]]
            self._usual[attribute.name] = {
                value: math.fsum(score[value] for score in scores) / len(scores) for value in attribute.values
            }
        return self._usual[attribute.name]

    def scores(self, attribute: Attribute, text: str, ask: Ask) -> Mapping[str, float]:
        """Return the log-probability of each value after a text, normalised over the values."""
        endings = {value: f" {value}\n\n" for value in attribute.values}
        found = self._walk(self._prompt(attribute, text), endings, ask)
        total = math.fsum(found.values())
        return {
            value: max(_SMALLEST, math.log(found[value] / total)) if found[value] > 0 else _SMALLEST
            for value in attribute.values
        }

    def _walk(self, prompt: str, endings: Mapping[str, str], ask: Ask) -> Probabilities:
        """Return the probability of each ending; where they begin alike, ask again behind what they share."""
        tokens = _likely_tokens(first_choice(ask(self.path, self._request(prompt)).body))
        least = min(tokens.values())
        found = {
            value: math.fsum(share for token, share in tokens.items() if _begins_only(token, value, endings))
            for value in endings
        }
        for token in _forks(tokens, endings):
            alike = [value for value in endings if endings[value].startswith(token)]
            further = self._walk(prompt + token, {value: endings[value][len(token) :] for value in alike}, ask)
            for value in alike:
                found[value] += tokens[token] * further[value]
        return {value: share or least / 10 for value, share in found.items()}

    def _request(self, prompt: str) -> Mapping[str, Any]:
        return {**self._parameters, "prompt": prompt}

    def _prompt(self, attribute: Attribute, text: str) -> str:
        return self._shared[attribute.name] + self._question(attribute, excerpt(text, self.excerpt_characters))

    def _shown(self, attribute: Attribute, example: Example) -> str:
        question = self._question(attribute, excerpt(example.text, self.example_characters))
        return f"{question} {example.answers[attribute.name]}\n\n"

    @staticmethod
    def _question(attribute: Attribute, text: str) -> str:
        return f"Text: {text}\n{attribute.name[:1].upper()}{attribute.name[1:]}:"


def _begins_only(token: str, value: str, endings: Mapping[str, str]) -> bool:
    return [name for name, ending in endings.items() if ending.startswith(token)] == [value]


def _forks(tokens: Probabilities, endings: Mapping[str, str]) -> list[str]:
    """Return the tokens that begin several endings and are the longest listed beginning of at least one."""
    longest = {
        max((token for token in tokens if ending.startswith(token)), key=len, default="") for ending in endings.values()
    }
    shared = {token for token in longest if sum(ending.startswith(token) for ending in endings.values()) > 1}
    return sorted(shared - {""})


def _likely_tokens(choice: Mapping[str, Any]) -> Probabilities:
    """Return the listed first tokens with their probabilities, in OpenAI's older spelling or in llama.cpp's.

    Tokens of mere spaces are left out: they begin every value and tell nothing.
    """
    told: Any = choice.get("logprobs")
    try:
        if "content" in told:
            listed = {entry["token"]: entry["logprob"] for entry in told["content"][0]["top_logprobs"]}
        else:
            listed = told["top_logprobs"][0]
        tokens = {token: math.exp(min(0.0, float(number))) for token, number in listed.items() if token.strip(" ")}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        tokens = {}
    if not tokens:
        raise UnusableAnswerError("the server lists no log-probabilities of the next token", choice)
    return tokens
