"""queue-manager's REST API as a stranger uses it: plain HTTP, plain dictionaries, patient while it is away."""

import time
from typing import Any

import httpx

Document = dict[str, Any]
ENDED = frozenset({"completed", "stopped", "error"})
_LOOK_EVERY_S = 0.1
_PAGE = 1_000


class Workflows:
    """The workflows of one platform."""

    def __init__(self, url: str) -> None:
        """Get ready; nothing is sent yet."""
        self.http = httpx.Client(base_url=url, timeout=15)

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()

    def submit(self, body: Document) -> Document:
        """Start a workflow and return its document."""
        answer = self.http.post("/workflows", json=body)
        assert answer.status_code == 201, answer.text
        return _object(answer)

    def submit_through_outages(self, body: Document, key: str, within_s: float) -> Document:
        """Start a workflow exactly once, however often queue-manager dies meanwhile."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                answer = self.http.post("/workflows", json=body, headers={"Idempotency-Key": key})
                if answer.status_code == 201:
                    return _object(answer)
                assert answer.status_code >= 500, answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, f"no 201 within {within_s:g} s"
            time.sleep(_LOOK_EVERY_S)

    def find(self, queue_id: str, rest: str = "") -> Document:
        """Read something of a workflow."""
        answer = self.http.get(f"/workflows/{queue_id}{rest}")
        assert answer.status_code == 200, answer.text
        return _object(answer)

    def steer(self, queue_id: str, wish: str) -> None:
        """Stop, pause, resume or retry."""
        answer = self.http.post(f"/workflows/{queue_id}/{wish}")
        assert answer.status_code == 202, answer.text

    def wait_ended(self, queue_id: str, within_s: float) -> Document:
        """Wait for a terminal status and return the document.

        Raises:
            TimeoutError: It never came; the message shows the document.
        """
        deadline = time.monotonic() + within_s
        document: Document = {}
        while time.monotonic() < deadline:
            try:
                answer = self.http.get(f"/workflows/{queue_id}")
                document = _object(answer) if answer.status_code == 200 else document
            except httpx.TransportError:
                pass  # queue-manager is away; that is what trials are about
            if document.get("status") in ENDED:
                return document
            time.sleep(_LOOK_EVERY_S)
        shown = {name: document.get(name) for name in ("queue_id", "status", "error", "tasks")}
        raise TimeoutError(f"not ended within {within_s:g} s: {shown}")

    def audit_trail(self, queue_id: str) -> list[Document]:
        """List the whole audit trail."""
        items: list[Document] = []
        cursor: str | None = "0"
        while cursor is not None:
            page = self.find(queue_id, f"/events?limit={_PAGE}&cursor={cursor}")
            items += page["items"]
            cursor = page["next_cursor"]
        return items


def _object(answer: httpx.Response) -> Document:
    body = answer.json()
    assert isinstance(body, dict), body
    return body
