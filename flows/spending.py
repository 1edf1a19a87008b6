"""Money: one ceiling for what models and people are paid, at the prices that the settings name now."""

import math

from curate.flows.project import Project
from curate.settings import LLMAnnotatorSettings
from curate.store.journal import Journal, stored_responses
from curate.store.spent import count_labels, tokens_by_model


def money_spent(project: Project) -> float:
    """Return what requests and people's answers have cost so far, those that wait for their commit included.

    Tokens are counted by the name of the model; one that no annotator names any more counts nothing. People are paid
    for a value and for "cannot tell", not for a skip; answers that wait in the inbox count once they are taken in.
    Simulated people are paid like people, whom they stand for.
    """
    prices = {
        one.model: (one.prompt_price, one.completion_price)
        for one in project.settings.annotator
        if isinstance(one, LLMAnnotatorSettings)
    }
    discover = project.settings.discover
    if discover.model:
        prices.setdefault(discover.model, (discover.prompt_price, discover.completion_price))
    with project.reader() as reader:
        tokens = tokens_by_model(reader)
        labels = count_labels(reader)
        entries = Journal(project.store_folder).entries()
        kept = stored_responses(reader, [entry.key for entry in entries]) if entries else {}
    tokens += [
        (entry.request.model, entry.response.prompt_tokens, entry.response.completion_tokens)
        for entry in entries
        if entry.key not in kept
    ]
    priced = ((prices.get(model, (0.0, 0.0)), prompt, completion) for model, prompt, completion in tokens)
    requests = math.fsum(price[0] * prompt + price[1] * completion for price, prompt, completion in priced) / 1e6
    return requests + labels * project.settings.spending.label_price


def money_left(project: Project) -> float:
    """Return what is left of the ceiling, at least 0; infinity where there is none."""
    ceiling = project.settings.spending.ceiling
    return max(0.0, ceiling - money_spent(project)) if ceiling else math.inf


def affordable_answers(project: Project, wanted: int) -> int:
    """Return how many of the answers that are wanted the ceiling leaves money for."""
    price = project.settings.spending.label_price
    left = money_left(project) if price else math.inf
    return wanted if math.isinf(left) else min(wanted, int(left / price + 1e-9))
