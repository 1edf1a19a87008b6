"""The page over a real store, asked without a browser: who gets in, what is refused, what is shown and what never."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from curate.flows.labelling import StoreDesk, page_application
from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.store.inbox import inbox_answers
from curate.types import SilentProgress

Open = Callable[[Path], Project]
HOST = "http://127.0.0.1:8765"
OTHER_ID = "0" * 32


@dataclass
class Visitor:
    """A browser's stand-in that fills forms in; `fields` are those of the page that it saw last."""

    client: TestClient
    fields: dict[str, str]

    def look(self, path: str = "/") -> str:
        page = self.client.get(path).text
        self.fields = dict(re.findall(r'<input type="hidden" (?:id="saw" )?name="(\w+)" value="([^"]*)"', page)[-0:])
        first = re.search(r'<form id="answer".*?</form>', page, re.DOTALL)
        if first:
            self.fields = dict(re.findall(r'name="(\w+)" value="([^"]*)">', first[0].split("<div")[0]))
        return page

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> int:
        return self.client.post(
            path, data=self.fields | fields, headers=headers or {}, follow_redirects=False
        ).status_code


@pytest.fixture
def project(walked: Path, open_project: Open) -> Project:
    return open_project(walked)


@pytest.fixture
def desk(project: Project) -> Iterator[StoreDesk]:
    with closing(StoreDesk(project)) as opened:
        yield opened


@pytest.fixture
def visitor(project: Project, desk: StoreDesk) -> Visitor:
    client = TestClient(page_application(project, desk, "", "owner-secret"), base_url=HOST)
    visitor = Visitor(client, {})
    visitor.look()
    assert visitor.post("/person", person="ada") == 303
    visitor.look()
    return visitor


def test_an_answer_is_in_the_inbox_and_then_in_the_store(project: Project, visitor: Visitor) -> None:
    item = visitor.fields["item_id"]
    assert visitor.post("/answer", value="english") == 303
    assert visitor.post("/answer", value="english") == 303
    [answer] = inbox_answers(project.store_folder)
    assert (answer.person, answer.item_id, answer.value, answer.turn) == ("ada", item, "english", 1)
    visitor.look()
    assert visitor.fields["item_id"] != item
    assert step_named("label").run(project, SilentProgress()).done == 1
    assert visitor.post("/undo", answer_id="1" * 32) == 303
    visitor.look()
    assert visitor.fields["item_id"] == item
    with closing(StoreDesk(project)) as desk:
        assert [(said.value, said.reason) for said in desk.answers()] == [
            ("english", ""), ("english", ""), ("", "undone")
        ]  # fmt: skip


def test_forms_of_others_change_nothing(project: Project, visitor: Visitor) -> None:
    assert visitor.post("/answer", {"Origin": "http://evil.example"}, value="english") == 403
    assert visitor.post("/answer", {"Sec-Fetch-Site": "cross-site"}, value="english") == 403
    assert visitor.post("/answer", {"Host": "evil.example"}, value="english") == 403
    assert visitor.post("/answer", csrf="guessed", value="english") == 400
    assert visitor.post("/answer", answer_id="../x", value="english") == 400
    assert visitor.post("/answer", value="no such value") == 400
    assert visitor.post("/answer", value="x" * 70_000) == 400
    assert inbox_answers(project.store_folder) == []
    assert visitor.post("/answer", {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}, value="english") == 303


def test_the_owners_page_and_a_page_for_others_want_their_tokens(
    project: Project, desk: StoreDesk, visitor: Visitor
) -> None:
    assert visitor.client.get("/owner").status_code == 403
    assert visitor.client.get("/owner?token=wrong").status_code == 403
    assert "Krippendorff" in visitor.client.get("/owner?token=owner-secret").text
    guarded = TestClient(page_application(project, desk, "page-secret", "owner-secret"), base_url=HOST)
    assert guarded.get("/").status_code == 403
    assert guarded.get(f"/image/{'0' * 64}").status_code == 403
    assert guarded.post("/answer?token=page-secret").status_code == 403
    shown = guarded.get("/?token=page-secret")
    assert (shown.status_code, str(shown.url)) == (200, f"{HOST}/")
    assert "script-src 'self'" in shown.headers["content-security-policy"]


def test_a_proposal_is_seen_on_request_and_that_of_an_audit_never(
    project: Project, desk: StoreDesk, visitor: Visitor
) -> None:
    query = "SELECT item_id FROM annotations WHERE annotator = 'patterns' AND value = 'python' ORDER BY 1 LIMIT 2"
    with project.reader() as reader:
        audit, usual = reader.query(query)["item_id"].to_pylist()
    entry = {"protocol": "kinds", "protocol_version": "1", "attribute": "kind", "round": 2, "answers": 1}
    queue = [
        {"item_id": audit, "kind": "audit", "priority": 9.0, **entry},
        {"item_id": usual, "kind": "label", "priority": 1.0, **entry},
        {"item_id": audit, "kind": "label", "priority": 1.0, **entry, "round": 1},
    ]
    desk._reader().register("queue", pa.Table.from_pylist(queue))
    visitor = Visitor(TestClient(page_application(project, desk, "", "o"), base_url=HOST), {})
    visitor.look()
    visitor.post("/person", person="ben")
    page = visitor.look()
    assert visitor.fields["item_id"] == audit
    assert "patterns" not in page
    assert "audit" in visitor.client.get(f"/proposal?item_id={audit}&attribute=kind").text
    answered = visitor.client.post(
        "/answer", data=visitor.fields | {"value": "english"}, headers={"HX-Request": "true"}
    )
    assert "patterns" not in answered.text
    visitor.look()
    assert visitor.fields["item_id"] == usual
    assert "patterns: <b>python</b>" in visitor.client.get(f"/proposal?item_id={usual}&attribute=kind").text
    last = visitor.client.post("/answer", data=visitor.fields | {"value": "english"}, headers={"HX-Request": "true"})
    assert "patterns had proposed python" in last.text
    assert "Nothing is left to answer" in last.text
