"""How the API server is called: on threads, with both time-outs, and its failures in our words.

The client library blocks, so each call goes to a thread. It is used for addresses, credentials and paths; what is
answered is decoded here, only as far as it is looked at.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Generic, ParamSpec, TypeVar

import msgspec
import urllib3
from kubernetes import client, config

from streamforge_common.errors import FatalError, TransientError

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Parameters = ParamSpec("Parameters")
Call = Callable[..., Any]
"""One of the client's calls; its types know models only, and here the answer is wanted as it came."""

_CONNECT_S, _READ_S = 3.0, 20.0
"""The client hangs for ever on a dead network unless it is told otherwise."""
_PAGE = 500
_REFUSED_FOR_GOOD = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""Of an object that is to be created: a wrong manifest, a quota, a missing right, namespace or kind of object."""


class RefusedError(Exception):
    """The API server has answered with a failure."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
        self.status = status


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct, Generic[Item]):
    """A part of a list."""

    metadata: _ListMetadata
    items: list[Item] | None = None


class _Status(msgspec.Struct):
    """What the API server answers in place of what was asked for."""

    message: str = ""


def open_cluster(kubeconfig: str | None) -> client.ApiClient:
    """Open the client; raises FatalError where no cluster is named."""
    settings = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(settings)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, client_configuration=settings, persist_config=False
            )
    except (config.ConfigException, OSError) as exc:
        where = "KUBECONFIG names none and this process runs in none" if kubeconfig is None else kubeconfig
        raise FatalError(f"no cluster: {where} ({exc})", code="no_cluster") from exc
    # Whoever calls tries again, and knows what is worth it.
    settings.retries = False
    return client.ApiClient(settings)


async def create(
    what: str, call: Callable[Parameters, bytes], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> bytes | None:
    """Create an object with a blocking call; None where one of that name is there.

    Args:
        what: The object, as messages name it.
        call: Creates it.
        args: Of the call.
        kwargs: Of the call.

    Raises:
        FatalError: It will never be taken.
        TransientError: It may be taken later.
    """
    try:
        return await in_thread(call, *args, **kwargs)
    except RefusedError as exc:
        if exc.status == HTTPStatus.CONFLICT:
            return None
        if exc.status in _REFUSED_FOR_GOOD:
            raise FatalError(f"the cluster refused {what}: {exc}") from exc
        raise TransientError(str(exc)) from exc


async def delete(call: Callable[[str], None], name: str) -> None:
    """Delete an object with a blocking call; none of that name is fine. Raises TransientError."""
    try:
        await in_thread(call, name)
    except RefusedError as exc:
        if exc.status != HTTPStatus.NOT_FOUND:
            raise TransientError(str(exc)) from exc


async def transiently(
    call: Callable[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Answer:
    """Make a blocking call that only reads: whatever is refused may be allowed later. Raises TransientError."""
    try:
        return await in_thread(call, *args, **kwargs)
    except RefusedError as exc:
        raise TransientError(str(exc)) from exc


async def in_thread(call: Callable[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
    """Make a blocking call.

    Raises:
        TransientError: The API server is away.
        RefusedError: It has answered with a failure.
    """
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except client.ApiException as exc:
        if not exc.status:
            raise TransientError(f"the API server is away: {exc.reason}") from exc
        raise RefusedError(exc.status, _message_of(exc.body)) from exc
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        raise TransientError(f"the API server is away: {exc}") from exc
    except msgspec.DecodeError as exc:
        raise TransientError(f"what answers is not an API server, or cut off its answer: {exc}") from exc


# --- on a thread --------------------------------------------------------------------------------------------------


def send(call: Call, *args: object, read_s: float = _READ_S, **kwargs: object) -> urllib3.HTTPResponse:
    """Make one of the client's calls, with both time-outs, and return the answer as it came."""
    answer: urllib3.HTTPResponse = call(*args, _preload_content=False, _request_timeout=(_CONNECT_S, read_s), **kwargs)
    return answer


def body_of(answer: urllib3.HTTPResponse) -> bytes:
    """Read an answer to its end. Raises RefusedError."""
    body: bytes = answer.data
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise RefusedError(answer.status, _message_of(body))
    return body


def list_all(kind: type[Page[Item]], call: Call, namespace: str, selector: str) -> tuple[str, list[Item]]:
    """List everything, page by page, and say as of which version."""
    items: list[Item] = []
    continue_ = ""
    while True:
        page = read_page(kind, call, namespace, selector, continue_=continue_)
        items += page.items or ()
        continue_ = page.metadata.continue_
        if not continue_:
            return page.metadata.resource_version, items


def read_page(
    kind: type[Page[Item]], call: Call, namespace: str, selector: str, *, limit: int = _PAGE, continue_: str = ""
) -> Page[Item]:
    """Read a part of a list."""
    answer = send(call, namespace, label_selector=selector, limit=limit, _continue=continue_ or None)
    return msgspec.json.decode(body_of(answer), type=kind)


class Lines:
    """The lines of an answer that does not end soon; read on one thread, closed from any."""

    def __init__(self, answer: urllib3.HTTPResponse) -> None:
        self._answer = answer
        self._lines = _lines_of(answer)

    def next(self) -> bytes:
        """Wait for the next line; empty at the end."""
        return next(self._lines, b"")

    def close(self) -> None:
        """Wake a thread that waits for a line, and give the connection up."""
        # Where the answer has ended there is no connection to it any more.
        with contextlib.suppress(RuntimeError, ValueError, OSError):
            self._answer.shutdown()
        self._answer.close()


def _lines_of(answer: urllib3.HTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(decode_content=False):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)


def _message_of(body: bytes | str | None) -> str:
    try:
        return msgspec.json.decode(body or b"{}", type=_Status).message or repr(body)
    except msgspec.DecodeError:
        return repr(body)
