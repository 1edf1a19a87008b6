"""The fake language model as a process of its own, as tests of other rooms start it."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path


def test_it_prints_its_address_and_keeps_a_journal(repository: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    command = [sys.executable, repository / "tests" / "support" / "fake_language_model.py", "--journal", journal]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            body = json.dumps({"model": "tiny", "prompt": "Text: a\nKind: c\n\nText: x\nKind:"}).encode()
            answers = []
            for _ in range(2):
                request = urllib.request.Request(f"{address}/completions", body)
                with urllib.request.urlopen(request) as answer:
                    answers.append(json.load(answer))
        finally:
            process.kill()
    assert answers[0] == answers[1]
    assert answers[0]["choices"][0]["text"] == " c"
    assert len(journal.read_text().splitlines()) == 2
