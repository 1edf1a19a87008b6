"""Who answers discovery's questions: a protocol, and a language model behind the cached client."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Protocol

from curate.annotate.llm.client import Client
from curate.annotate.llm.ways import UnusableAnswerError, first_choice

_PATH = "/chat/completions"
_ANOTHER_SEED = 7_919
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One request: what is said, the JSON schema of the answer, how it is drawn, and for which `stage`."""

    stage: str
    system: str
    user: str
    schema: Mapping[str, Any] = field(hash=False)
    most_tokens: int
    temperature: float = 0.0
    seed: int = 0


class Analyst(Protocol):
    """Answers questions in their order; None where an answer was of no use, which never ends a run.

    `version` changes whenever its answers would.
    """

    version: str

    def answers(self, questions: Sequence[Question]) -> list[Answer | None]: ...


@dataclass(slots=True)
class Usage:
    """What one stage has taken so far; answers from the cache count as well."""

    calls: int = 0
    unusable: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class ModelAnalyst:
    """A chat model at an OpenAI-compatible service; every answer is in the client's cache before it is used.

    A question whose answer is of no use is asked once more with another seed, and then given up. `usage` says what each
    stage has taken. At most `client.service.concurrency` requests are under way.
    """

    def __init__(self, client: Client, parameters: Mapping[str, Any] | None = None) -> None:
        self._client = client
        self._parameters = dict(parameters or {})
        self.version = json.dumps([client.service.model, self._parameters], sort_keys=True)
        self.usage: dict[str, Usage] = {}
        self._lock = Lock()

    def answers(self, questions: Sequence[Question]) -> list[Answer | None]:
        """Ask, and return the answers in the order of the questions.

        Raises:
            ServiceError: the service cannot be reached; what was received is kept.
            RefusedRequestError: the service said a final no.
            BudgetSpentError: the next answer might cost more than is left.
        """
        self._client.look_up([self.payload(question) for question in questions])
        if len(questions) < 2:
            return [self._answer(question) for question in questions]
        with ThreadPoolExecutor(self._client.service.concurrency) as pool:
            futures = [pool.submit(self._answer, question) for question in questions]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def is_answered(self, question: Question) -> bool:
        """Whether asking would cost nothing."""
        return self._client.is_cached(self.payload(question))

    def payload(self, question: Question) -> dict[str, Any]:
        """Return the request as it is sent."""
        drawn = (
            {"temperature": question.temperature, "seed": question.seed} if question.temperature else {"temperature": 0}
        )
        schema = {"name": question.stage.replace(" ", "_"), "strict": True, "schema": question.schema}
        return {
            "model": self._client.service.model,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
            "max_tokens": question.most_tokens,
            "response_format": {"type": "json_schema", "json_schema": schema},
            **drawn,
            **self._parameters,
        }

    def _answer(self, question: Question) -> Answer | None:
        found = self._asked(question)
        if found is None:
            again = replace(question, seed=question.seed + _ANOTHER_SEED, temperature=question.temperature or 0.3)
            found = self._asked(again)
        return found

    def _asked(self, question: Question) -> Answer | None:
        from curate.annotate.llm.transport import UnanswerableError

        try:
            response = self._client.ask(_PATH, self.payload(question))
        except UnanswerableError:
            self._count(question.stage, unusable=1)
            return None
        answer = parsed(response.body)
        self._count(question.stage, 1, int(answer is None), response.prompt_tokens, response.completion_tokens,
                    response.seconds)  # fmt: skip
        return answer

    def _count(
        self, stage: str, calls: int = 0, unusable: int = 0, prompt: int = 0, completion: int = 0, seconds: float = 0.0
    ) -> None:
        with self._lock:
            usage = self.usage.setdefault(stage, Usage())
            usage.calls += calls
            usage.unusable += unusable
            usage.prompt_tokens += prompt
            usage.completion_tokens += completion
            usage.seconds += seconds


def parsed(body: Mapping[str, Any]) -> Answer | None:
    """Return the JSON object that an answer holds; None where it holds none.

    >>> parsed({"choices": [{"message": {"content": '{"a": 1}'}}]}), parsed({"choices": []})
    ({'a': 1}, None)
    """
    try:
        content = first_choice(body).get("message", {}).get("content")
        found = json.loads(content)
    except (UnusableAnswerError, AttributeError, TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None
