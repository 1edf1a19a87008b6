"""The peers of the filter: Presidio's recognizers by pattern, and detect-secrets as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from curate.errors import MissingExtraError

Found = list[tuple[int, int, str]]
"""Start, end and kind of each finding in a text."""
_KINDS = {
    "EMAIL_ADDRESS": "email address",
    "PHONE_NUMBER": "telephone number",
    "IP_ADDRESS": "IP address",
    "IBAN_CODE": "IBAN",
    "CREDIT_CARD": "payment card number",
}
_RECOGNIZERS = (
    "CreditCardRecognizer", "EmailRecognizer", "IbanRecognizer", "IpRecognizer", "PhoneRecognizer", "UsSsnRecognizer",
    "EsNifRecognizer", "EsNieRecognizer", "ItFiscalCodeRecognizer", "FiPersonalIdentityCodeRecognizer",
    "SePersonnummerRecognizer", "PlPeselRecognizer", "KrRrnRecognizer",
)  # fmt: skip


def presidio(least_score: float) -> Callable[[Sequence[str]], list[Found]]:
    """Return a search by Presidio's recognizers, without a language model: so words around do not raise its scores.

    Findings of at least this score count.
    """
    try:
        import presidio_analyzer.predefined_recognizers as predefined
        import tldextract
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of privacy (it lacks {error.name})", "benchmarks") from error
    # With what the package brings: it would ask the network for a newer list.
    setattr(tldextract, "extract", tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None))  # noqa: B010 (its type)
    recognizers = [getattr(predefined, name)() for name in _RECOGNIZERS]

    def search(texts: Sequence[str]) -> list[Found]:
        return [[one for each in recognizers for one in _results(each, text, least_score)] for text in texts]

    return search


def _results(recognizer: Any, text: str, least_score: float) -> Found:
    results = recognizer.analyze(text, recognizer.supported_entities, None) or ()
    return [
        (one.start, one.end, _KINDS.get(one.entity_type, "national identity number"))
        for one in results
        if one.score >= least_score
    ]


def detect_secrets(texts: Sequence[str]) -> list[Found]:
    """Search with detect-secrets' default plugins and filters, all texts in one file, nothing asked of any service.

    It tells lines and not places, so a finding is the whole of its line.
    """
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import default_settings

    lines = [(number, line) for number, text in enumerate(texts) for line in text.split("\n")]
    with TemporaryDirectory() as folder, default_settings() as settings:
        settings.disable_filters("detect_secrets.filters.common.is_ignored_due_to_verification_policies")
        file = Path(folder) / "texts.txt"
        file.write_text("\n".join(line for _, line in lines), encoding="utf-8", newline="\n")
        secrets = SecretsCollection()
        secrets.scan_file(str(file))
    hit = {secret.line_number - 1 for _, secret in secrets}
    found: list[Found] = [[] for _ in texts]
    start, before = 0, -1
    for place, (number, line) in enumerate(lines):
        start = start if number == before else 0
        if place in hit:
            found[number].append((start, start + len(line), "secret"))
        start, before = start + len(line) + 1, number
    return found
