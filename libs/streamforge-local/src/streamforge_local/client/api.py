"""The calls to queue-manager's REST API (contract section 5), one method each, blocking.

httpx is imported when there is something to call: that takes as long as all the rest of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

import msgspec

from streamforge_local.client.documents import (
    ApiKey,
    AuditItem,
    Document,
    Job,
    NewApiKey,
    Quality,
    Workflow,
    read_document,
)
from streamforge_local.client.errors import AwayError, InvalidRequestError, RefusedError

if TYPE_CHECKING:
    import httpx

Steering = Literal["stop", "pause", "resume", "retry", "repair"]

_TIMEOUT_S = 15.0
"""Storing a workflow takes some 20 ms; a machine that is starting everything at once may take seconds."""
_PAST_THE_PROXY = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
"""A company's proxy, which the environment may name, cannot reach this machine's own loopback."""
_EVENT_STREAM = "text/event-stream"
_SILENCE_S = 45.0
"""A stream of events says at least a word every 15 s; after three times that it is dead."""
_COUNTING_S = 120.0
"""For a report over a year of ids."""
_PAGE = 1_000
"""The longest page that queue-manager gives."""
_WRONG_REQUEST = frozenset({400, 413, 422})


class QueueManager:
    """queue-manager at one address."""

    def __init__(self, url: str, key: str | None = None) -> None:
        """Get ready to call; nothing is sent yet.

        Args:
            url: Where it is.
            key: The API key to send, where one is needed.

        Raises:
            InvalidRequestError: This is no address, or no key.
        """
        import httpx

        self.url = url.rstrip("/")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise InvalidRequestError("the API key holds characters that no key has")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            self._http = httpx.Client(base_url=self.url, timeout=_TIMEOUT_S, mounts=_PAST_THE_PROXY, headers=headers)
        except httpx.InvalidURL as exc:
            raise InvalidRequestError(f"{url!r} is not a URL such as http://127.0.0.1:8080: {exc}") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, request: Mapping[str, Any]) -> Workflow:
        """Start a workflow."""
        return self._document("POST", "/workflows", Workflow, json=dict(request))

    def workflow(self, queue_id: str) -> Workflow:
        """Read a workflow."""
        return self._document("GET", _path(queue_id), Workflow)

    def workflows(self, limit: int | None = None, **filters: str | None) -> Iterator[Workflow]:
        """List workflows, newest first, page by page as they are taken.

        Args:
            limit: The most to list; None lists all.
            filters: `status`, `symbol`, `type`; None does not filter.
        """
        left = limit
        query: dict[str, str] = {name: value for name, value in filters.items() if value is not None}
        while left is None or left > 0:
            query["limit"] = str(_PAGE if left is None else min(left, _PAGE))
            items, cursor = self._list("/workflows", Workflow, query)
            yield from items
            if cursor is None:
                return
            query["cursor"] = cursor
            left = None if left is None else left - len(items)

    def audit_trail(self, queue_id: str, after_seq: int) -> Iterator[AuditItem]:
        """List what has happened to a workflow after an item; the cursor of this list is a sequence number."""
        cursor: str | None = str(after_seq)
        while cursor is not None:
            items, cursor = self._list(_path(queue_id, "/events"), AuditItem, {"cursor": cursor})
            yield from items

    def stream_audit_trail(self, queue_id: str, after_seq: int) -> Iterator[AuditItem]:
        """Yield what happens to a workflow after an item, as it happens, until it has ended.

        A queue-manager that does not stream gives what is there by now.

        Raises:
            AwayError: The connection is lost; what came last is where to go on.
        """
        import httpx

        headers = {"Accept": _EVENT_STREAM, "Last-Event-ID": str(after_seq)}
        timeout = httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S)
        with (
            self._explained(),
            self._http.stream("GET", _path(queue_id, "/events"), headers=headers, timeout=timeout) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise _failure(answer)
            if answer.headers.get("Content-Type", "").startswith(_EVENT_STREAM):
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        yield self._read(line.removeprefix("data:"), AuditItem)
                return
        if answer.status_code != HTTPStatus.NO_CONTENT:
            yield from self.audit_trail(queue_id, after_seq)

    def quality(self, queue_id: str) -> Quality:
        """Read the completeness report; counting a large dataset takes its time."""
        return self._document("GET", _path(queue_id, "/quality"), Quality, timeout=_COUNTING_S)

    def delete(self, queue_id: str, *, with_data: bool) -> None:
        """Remove an ended workflow, and what it has stored when asked."""
        self._call("DELETE", _path(queue_id), params={"data": str(with_data).lower()})

    def jobs(self, queue_id: str) -> list[Job]:
        """List the jobs of a workflow."""
        items, _ = self._list(_path(queue_id, "/jobs"), Job, {})
        return items

    def logs(self, queue_id: str, target: str | None) -> str:
        """Read what the jobs of a workflow have written, of all targets or of one."""
        query = {} if target is None else {"target": target}
        return self._call("GET", _path(queue_id, "/logs"), params=query).text

    def steer(self, queue_id: str, wish: Steering) -> Workflow:
        """Stop, pause, resume, retry or repair a workflow."""
        # Before a repair all that is stored is counted.
        return self._document("POST", _path(queue_id, f"/{wish}"), Workflow, timeout=_COUNTING_S)

    def create_key(self, role: str, name: str) -> NewApiKey:
        """Make an API key; the answer is the only place where it can be read."""
        return self._document("POST", "/keys", NewApiKey, json={"role": role, "name": name})

    def keys(self) -> list[ApiKey]:
        """List the API keys, also revoked ones, oldest first."""
        items, _ = self._list("/keys", ApiKey, {})
        return items

    def revoke_key(self, key_id: str) -> None:
        """Revoke an API key."""
        self._call("DELETE", f"/keys/{quote(key_id, safe='')}")

    def health(self) -> dict[str, str]:
        """Read how every component stands: `ok`, or what is wrong."""
        answer = self._send("GET", "/health")
        if answer.status_code not in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
            raise _failure(answer)
        components = self._json(answer).get("components", {})
        return {str(name): str(state) for name, state in components.items()}

    def _list(self, path: str, kind: type[Document], query: Mapping[str, str]) -> tuple[list[Document], str | None]:
        answer = self._json(self._call("GET", path, params=dict(query)))
        try:
            return [read_document(item, kind) for item in answer["items"]], answer["next_cursor"]
        except (msgspec.ValidationError, KeyError) as exc:
            raise self._stranger() from exc

    def _document(self, method: str, path: str, kind: type[Document], **sent: Any) -> Document:  # noqa: ANN401
        return self._read(self._call(method, path, **sent).content, kind)

    def _read(self, body: bytes | str, kind: type[Document]) -> Document:
        try:
            return read_document(msgspec.json.decode(body), kind)
        except (msgspec.ValidationError, msgspec.DecodeError) as exc:
            raise self._stranger() from exc

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            body = msgspec.json.decode(answer.content)
        except msgspec.DecodeError as exc:
            raise self._stranger() from exc
        if not isinstance(body, dict):
            raise self._stranger()
        return body

    def _call(self, method: str, path: str, **sent: Any) -> httpx.Response:  # noqa: ANN401
        answer = self._send(method, path, **sent)
        if not answer.is_success:
            raise _failure(answer)
        return answer

    def _send(self, method: str, path: str, **sent: Any) -> httpx.Response:  # noqa: ANN401
        with self._explained():
            return self._http.request(method, path, **sent)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what goes wrong on the way into what a person reads."""
        import httpx

        try:
            yield
        except httpx.UnsupportedProtocol as exc:
            raise InvalidRequestError(f"{self.url!r} is not a URL such as http://127.0.0.1:8080") from exc
        except httpx.TimeoutException as exc:
            raise AwayError(f"no answer from {self.url} in time; try again") from exc
        except httpx.TransportError as exc:
            raise AwayError(f"nothing answers at {self.url}: start the platform with `streamforge up`") from exc

    def _stranger(self) -> RefusedError:
        return RefusedError(f"what answers at {self.url} is not queue-manager")


def _path(queue_id: str, rest: str = "") -> str:
    """Build a workflow's path; what a person typed as its identity stays one segment."""
    return f"/workflows/{quote(queue_id, safe='')}{rest}"


def _failure(answer: httpx.Response) -> Exception:
    """Turn an error's answer, problem details where it is queue-manager's, into what a person reads."""
    try:
        problem = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    detail = str(problem.get("detail") or f"{answer.request.url} answered {answer.status_code}")
    if answer.status_code in _WRONG_REQUEST:
        return InvalidRequestError("\n".join(_field_lines(problem.get("errors") or ())) or detail)
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return RefusedError(f"{detail}; the command line takes it from STREAMFORGE_API_KEY or the home's `api-key`")
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        return AwayError(detail)
    return RefusedError(detail)


def _field_lines(errors: Sequence[Mapping[str, str]]) -> list[str]:
    return [f"{error['pointer'].removeprefix('#/') or 'request'}: {error['detail']}" for error in errors]
