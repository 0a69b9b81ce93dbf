"""Asking an exchange over HTTP: every request of a process goes through one client.

What can be over later is tried again here: lost connections, time-outs, 5xx, answers that cannot be
read (cut off, HTML with status 200). A limit that was hit closes one gate for all requests, of whatever pool, until
the time that the exchange names. A refusal that the exchange explains is final. What comes back is treated as hostile:
it is bounded in size, redirects are not followed, and nothing is believed before it is parsed.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic, time
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from loguru import logger

from streamforge_common.contract.records import Record
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError, RejectedRecordError, TransientError
from streamforge_common.exchanges.rest import (
    End,
    EndRequests,
    History,
    Latest,
    Poll,
    Pool,
    Refusal,
    RefusedError,
    Request,
    RestMarket,
    SpacingRequest,
)
from streamforge_common.history.budget import Budget, DividedBudget, PoolBudget
from streamforge_common.history.ends import judge_first, judge_last
from streamforge_common.history.pages import Page, PageContent, judge_page
from streamforge_common.history.trials import Trials
from streamforge_common.telemetry import EXCHANGE_REQUESTS, EXCHANGE_WEIGHT_USED

Result = TypeVar("Result")

_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
"""Seconds. Answers take well below one; a connection that says nothing for this long is dead."""
_BODY_BYTES_MAX = 16 * 1024 * 1024
"""A page is some 200 KB, the exchange's description of one symbol a few."""
_BANNED = 418
_LIMIT_STATUSES = (_BANNED, 429)
_SHORT_WAIT_S = 5
"""A wait that a restart takes anyway; only of longer ones others have to know."""
_SAME_BAN_S = 1
"""Requests that were under way are told of the same ban, with what is left of it in whole seconds."""
_GLANCE_S = 5.0
"""How often a wait looks up: a ban may have come, or a larger share."""
_DIGITS_MAX = 9
"""Of a number in a header; a longer one means nothing."""
_NO_RETRY_AFTER_S = 60
"""The wait after a limit was hit where the exchange names none: the longest until its next minute."""


class ExchangeClient:
    """One market of one exchange; an async context manager."""

    def __init__(
        self,
        market: RestMarket,
        base_url: str,
        *,
        attempts: int | None,
        ban_of_others: Callable[[], float] = lambda: 0.0,
        share: Callable[[float], float] = lambda _: 1.0,
        bound: float = 1.0,
    ) -> None:
        """Prepare a client.

        Args:
            market: What the exchange module declares.
            base_url: Scheme, host and port.
            attempts: How often one request is sent before the exchange counts as lost; None: it never does.
            ban_of_others: Until when (Unix seconds) other loaders of this address were told to leave it alone.
            share: A window's length, seconds, to the share that this process now has of a limit whose use the exchange
                does not tell.
            bound: The share of every limit that this process may use at most.
        """
        self._market = market
        self._base_url = base_url.rstrip("/")
        self._trials = Trials(attempts)
        self._ban_of_others = ban_of_others
        self._budgets = {pool: _budget_of(pool, share, bound) for pool in (market.pool, *market.other_pools)}
        self._banned_until_s = 0.0
        self._ban = asyncio.Event()
        self._kept: dict[str, bytes] = {}
        """Path to an answer that is about all symbols."""
        self._asking_once = asyncio.Lock()

    async def __aenter__(self) -> Self:
        # From some networks an exchange is reached through a proxy only, which the environment names.
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def closed_for_s(self) -> float:
        """For how many seconds the exchange still wants to be left alone; 0 where it does not."""
        return max(0.0, self._main_budget.closed_until_s - monotonic())

    @property
    def trouble(self) -> str:
        """Why the latest request was not answered and is sent again; empty where it was."""
        return self._trials.trouble

    def spent(self) -> dict[str, int]:
        """Return by name what was sent within the last window of limits whose use the exchange does not tell."""
        divided = {pool.name: it for pool, it in self._budgets.items() if isinstance(it, DividedBudget)}
        return {name: used for name, budget in divided.items() if (used := budget.used(monotonic()))}

    def close_until(self, until_s: float) -> None:
        """Send nothing until then, Unix seconds; what an earlier process or another loader was told."""
        if until_s > self._banned_until_s:
            self._banned_until_s = until_s
            self._close(monotonic() + until_s - time())

    async def next_ban(self) -> float:
        """Return when the exchange has begun to ask for a longer rest, Unix seconds: until when it does."""
        await self._ban.wait()
        self._ban.clear()
        return self._banned_until_s

    async def learn_limits(self, symbol: str) -> None:
        """Ask for the limits as they are today; a symbol that does not exist is refused here already."""
        parse_limit = self._market.parse_limit
        told = await self._ask_once(self._market.symbol_request(symbol), lambda body: parse_limit(body, symbol))
        if told is not None:
            self._main_budget.limit = told

    async def learn_spacing(self, symbol: str, spacing: SpacingRequest) -> int:
        """Return how far apart two neighbours may be, milliseconds."""
        return await self._ask_once(spacing.request(symbol), lambda body: spacing.parse(body, symbol))

    async def learn_time(self) -> int:
        """Return the exchange's clock, Unix milliseconds, and steer by it from now on."""
        sent_s = monotonic()

        def read(body: bytes) -> int:
            time_ms = self._market.parse_time(body)
            received_s = monotonic()
            for budget in self._budgets.values():
                budget.learn_clock(time_ms, (sent_s + received_s) / 2)
            return time_ms

        return await self._ask(self._market.time_request, read)

    async def fetch(self, history: History, symbol: str, page: Page) -> PageContent:
        """Return what the exchange has of a page."""

        def read(body: bytes) -> PageContent:
            records = history.parse(body, symbol)
            return judge_page(page, history, records, lambda: history.rows(body), int(time() * 1000))

        return await self._ask(history.request(symbol, page.first, page.last), read)

    async def poll(self, poll: Poll, symbol: str, limit: int) -> Record:
        """Return what there is now."""
        return await self._ask(
            poll.request(symbol, limit), lambda body: poll.parse(body, symbol, limit, int(time() * 1000))
        )

    async def fetch_latest(self, latest: Latest, symbol: str) -> tuple[Sequence[Record], int]:
        """Return the latest records that the exchange gives, oldest first, and when they came, Unix milliseconds."""

        def read(body: bytes) -> tuple[Sequence[Record], int]:
            return latest.parse(body, symbol), int(time() * 1000)

        return await self._ask(latest.request(symbol), read)

    async def fetch_ends(self, symbol: str, time_range: TimeRange, ends: EndRequests) -> tuple[End | None, End | None]:
        """Return the first record at or after the start of the range, and the last one before its end."""

        def read_first(body: bytes) -> End | None:
            return judge_first(time_range.start_ms, ends.parse_first(body, symbol))

        def read_last(body: bytes) -> End | None:
            return judge_last(time_range.end_ms, ends.parse_last(body, symbol))

        first = await self._ask(ends.first(symbol, time_range.start_ms), read_first)
        last = await self._ask(ends.last(symbol, time_range.end_ms), read_last)
        return first, last

    async def _ask_once(self, request: Request, read: Callable[[bytes], Result]) -> Result:
        """Ask no second time what is answered of all symbols at once, which may be some megabytes."""
        if request.params:
            return await self._ask(request, read)

        def read_and_keep(body: bytes) -> Result:
            try:
                result = read(body)
            except RefusedError:
                self._kept[request.path] = body
                raise
            self._kept[request.path] = body
            return result

        async with self._asking_once:
            if request.path not in self._kept:
                return await self._ask(request, read_and_keep)
        try:
            return read(self._kept[request.path])
        except RefusedError as exc:
            raise self._refused(request, exc.refusal) from exc

    async def _ask(self, request: Request, read: Callable[[bytes], Result]) -> Result:
        """Send a request until it is answered; `read` raises RejectedRecordError for a body that is no answer.

        Raises:
            FatalError: The exchange refuses (`exchange_refused`), or gave no answer in many attempts (`exchange_lost`).
        """

        async def send_and_read() -> Result:
            body = await self._send(request)
            try:
                return read(body)
            except RefusedError as exc:
                raise self._refused(request, exc.refusal) from exc
            except RejectedRecordError as exc:
                raise TransientError(f"{self._market.exchange} answered {request.path} with {exc}") from exc

        return await self._trials.run(send_and_read)

    async def _send(self, request: Request) -> bytes:
        """Send a request once, when it may be sent, and return the body of a good answer."""
        sent_s = await self._turn(request)
        status = "none"
        try:
            async with self._session.get(
                self._base_url + request.path, params=request.params, allow_redirects=False
            ) as response:
                status = str(response.status)
                self._note_limits(request, response, sent_s)
                body = await _read_bounded(response)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
            raise TransientError(
                f"{self._market.exchange} did not answer {request.path}: {str(exc) or repr(exc)}"
            ) from exc
        finally:
            EXCHANGE_REQUESTS.labels(self._market.exchange, request.pool.name, status).inc()
        if response.status == 200:
            return body
        raise self._failure(request, response.status, body)

    async def _turn(self, request: Request) -> float:
        """Wait until a request may be sent, note it as sent, and return when that is."""
        budget = self._budgets[request.pool]
        while True:
            self.close_until(self._ban_of_others())
            now_s = monotonic()
            wait_s = budget.wait_s(request.weight, now_s)
            if wait_s <= 0:
                budget.spend(request.weight, now_s)
                return now_s
            await asyncio.sleep(min(wait_s, _GLANCE_S))

    @property
    def _main_budget(self) -> PoolBudget:
        return self._budgets[self._market.pool]

    def _close(self, until_s: float) -> None:
        """Send nothing until then, of whatever pool: an exchange that is angry is angry with the address."""
        for budget in self._budgets.values():
            budget.close(until_s)

    def _failure(self, request: Request, status: int, body: bytes) -> TransientError | FatalError:
        refusal = self._market.parse_refusal(status, body)
        if refusal is not None and 400 <= status < 500 and status not in (408, *_LIMIT_STATUSES):
            return self._refused(request, refusal)
        return TransientError(f"{self._market.exchange} answered {request.path} with status {status}")

    def _refused(self, request: Request, refusal: Refusal) -> TransientError | FatalError:
        told = f"{refusal.code} {refusal.message}"
        if refusal.retry_after_s is None:
            return FatalError(
                f"{self._market.exchange} refuses {request.path} for {request.params.get('symbol', '')!r}: {told}",
                code="exchange_refused",
            )
        if refusal.retry_after_s > 0:
            self._leave_alone(refusal.retry_after_s, told, is_ban=False)
        return TransientError(f"{self._market.exchange} answered {request.path} with {told}")

    def _note_limits(self, request: Request, response: aiohttp.ClientResponse, sent_s: float) -> None:
        pool = request.pool
        used = _number_in(response, pool.used_header) if pool.used_header else None
        if used is not None:
            ratio = self._budgets[pool].note_used(used, sent_s)
            EXCHANGE_WEIGHT_USED.labels(self._market.exchange, pool.name).set(ratio)
        if response.status in _LIMIT_STATUSES:
            told_s = _number_in(response, "Retry-After")
            wait_s = _NO_RETRY_AFTER_S if told_s is None else told_s
            self._leave_alone(wait_s, str(response.status), is_ban=response.status == _BANNED)

    def _leave_alone(self, wait_s: float, why: str, *, is_ban: bool) -> None:
        self._close(monotonic() + wait_s)
        self._note_ban(wait_s, is_ban=is_ban)
        logger.warning("{} asks to be left alone for {} s ({})", self._market.exchange, wait_s, why)

    def _note_ban(self, wait_s: float, *, is_ban: bool) -> None:
        until_s = time() + wait_s
        is_news = until_s > self._banned_until_s + _SAME_BAN_S
        if is_news and (is_ban or wait_s > _SHORT_WAIT_S):
            self._banned_until_s = until_s
            self._ban.set()


def _budget_of(pool: Pool, share: Callable[[float], float], bound: float) -> PoolBudget:
    if pool.used_header is not None:
        return Budget(pool.limit, pool.window_s, bound=bound)
    return DividedBudget(pool.limit, pool.window_s, lambda window_s: min(bound, share(window_s)))


def _number_in(response: aiohttp.ClientResponse, header: str) -> int | None:
    text = response.headers.get(header, "")
    return int(text) if text.isdecimal() and len(text) <= _DIGITS_MAX else None


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise TransientError(f"an answer is longer than {_BODY_BYTES_MAX} bytes")
    return bytes(body)
