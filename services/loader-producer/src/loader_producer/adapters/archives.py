"""Fetching the files of an exchange's archive over HTTP, and proving each one before a line of it is used.

A file goes to disk while it is hashed, never into memory as a whole. It is used only when its SHA-256 is the one that
the archive tells and everything packed in it agrees with its own checksums; where not, both are asked for again, as
files are replaced now and then.
"""

import asyncio
import hashlib
import zipfile
import zlib
from collections.abc import Callable
from io import SEEK_END, BytesIO
from tempfile import TemporaryFile
from time import time
from types import TracebackType
from typing import IO, Self

import aiohttp
from loguru import logger

from streamforge_common.errors import FatalError, RejectedRecordError, TransientError
from streamforge_common.exchanges.archives import ArchiveMarket, Lines
from streamforge_common.history.trials import Trials
from streamforge_common.telemetry import EXCHANGE_REQUESTS

_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)
"""Seconds. A month of trades takes long; a connection that says nothing for a minute is dead."""
_POOL = "archive"
"""In metrics; archives tell of no limit."""
_FILE_BYTES_MAX = 8 * 1024**3
"""Some times the largest month of trades; in a cluster it is also the limit of a job's disk."""
_CHECKSUM_BYTES_MAX = 4_096
_PIECE_BYTES = 1024 * 1024
_PROOFS = 3
"""How often a file that is not what it should be is fetched."""
_AGAIN_S = 1.0
"""The wait before something is asked for again that did come, and was not there or not right."""
_CHUNK_BYTES = 512 * 1024
"""Some 7,000 trades: few beside a month of them, many beside what a round to the broker costs."""
_HEAD_BYTES = 4_096
"""A header and a line behind it."""
_LINE_BYTES_MAX = 64 * 1024
_NOT_A_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What the library raises for files that are cut, spoilt, encrypted or packed in another way."""


class _UnprovenError(Exception):
    """A file came that is not what it should be."""


class ArchiveClient:
    """One market's archives; an async context manager."""

    def __init__(self, market: ArchiveMarket, base_url: str, *, attempts: int) -> None:
        """Prepare a client.

        Args:
            market: What the exchange module declares.
            base_url: Scheme, host and port.
            attempts: How often one request is sent before the archive counts as lost.
        """
        self._market = market
        self._base_url = base_url.rstrip("/")
        self._trials = Trials(attempts)

    async def __aenter__(self) -> Self:
        # From some networks an exchange is reached through a proxy only, which the environment names.
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def trouble(self) -> str:
        """Why the latest request was not answered and is sent again; empty where it was."""
        return self._trials.trouble

    async def fetch(self, path: str) -> "ProvenFile | None":
        """Fetch and prove a file, which is to be closed; None where there is none, or no checksum to prove it with.

        Raises:
            FatalError: It is not what it should be, however often it is fetched (`archive_corrupt`), or the archive
                does not answer (`exchange_lost`).
        """
        packed = TemporaryFile()  # noqa: SIM115  # closed with the file
        file: ProvenFile | None = None
        try:
            file = await self._fetch(path, packed)
        finally:
            if file is None:
                packed.close()
        return file

    async def _fetch(self, path: str, packed: IO[bytes]) -> "ProvenFile | None":
        fault = ""
        for _ in range(_PROOFS):
            try:
                wanted = await self._fetch_checksum(path)
                return None if wanted is None else await self._fetch_proven(path, packed, wanted)
            except _UnprovenError as exc:
                fault = str(exc)
                logger.warning("{}: {}; asking again", path, fault)
            await asyncio.sleep(_AGAIN_S)
        raise FatalError(
            f"{path} of the archive is not what it should be, {_PROOFS} times in a row: {fault}", code="archive_corrupt"
        )

    async def _fetch_checksum(self, path: str) -> str | None:
        """Return what the archive tells; what is not there is asked for once more."""
        checksum_path = self._market.checksum_path(path)
        body = BytesIO()
        if not await self._get(checksum_path, _Download(body), _CHECKSUM_BYTES_MAX):
            await asyncio.sleep(_AGAIN_S)
            if not await self._get(checksum_path, _Download(body), _CHECKSUM_BYTES_MAX):
                return None
        try:
            return self._market.parse_checksum(body.getvalue(), path)
        except RejectedRecordError as exc:
            raise _UnprovenError(str(exc)) from exc

    async def _fetch_proven(self, path: str, packed: IO[bytes], wanted: str) -> "ProvenFile":
        download = _Download(packed)
        if not await self._get(path, download, _FILE_BYTES_MAX):
            raise _UnprovenError("its checksum is there and the file is not")
        if download.sha256 != wanted:
            raise _UnprovenError(f"its SHA-256 is {download.sha256}, its checksum says {wanted}")
        return await asyncio.to_thread(ProvenFile, packed, wanted)

    async def _get(self, path: str, download: "_Download", bytes_max: int) -> bool:
        """Take a body in; False where there is none."""

        async def send() -> bool:
            download.begin()
            status = "none"
            try:
                async with self._session.get(self._base_url + path, allow_redirects=False) as response:
                    status = str(response.status)
                    if response.status == 404:
                        return False
                    if response.status != 200:
                        raise TransientError(f"the archive answered {path} with status {status}")
                    async for piece in response.content.iter_chunked(_PIECE_BYTES):
                        await asyncio.to_thread(download.add, piece)
                        if download.length > bytes_max:
                            raise FatalError(f"{path} is longer than {bytes_max} bytes", code="archive_corrupt")
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
                raise TransientError(f"the archive did not give {path}: {str(exc) or repr(exc)}") from exc
            finally:
                EXCHANGE_REQUESTS.labels(self._market.exchange, _POOL, status).inc()
            return True

        return await self._trials.run(send)


class _Download:
    """A body on its way into a file, hashed as it comes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.begin()

    def begin(self) -> None:
        """Forget what has come so far."""
        self._digest = hashlib.sha256()
        self._file.seek(0)
        self._file.truncate()

    def add(self, piece: bytes) -> None:
        """Take in what comes next.

        Raises:
            FatalError: There is no room for it (`disk_full`).
        """
        try:
            self._file.write(piece)
        except OSError as exc:
            raise FatalError(f"no room for a file of the archive: {exc}", code="disk_full") from exc
        self._digest.update(piece)

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self._file.tell()

    @property
    def sha256(self) -> str:
        """Of what has come so far."""
        return self._digest.hexdigest()


class ProvenFile:
    """A packed file whose every byte is right, open for reading."""

    def __init__(self, packed: IO[bytes], sha256: str) -> None:
        """Open what is packed, after reading it once to its end.

        Raises:
            _UnprovenError: It is not one packed file.
        """
        self.sha256 = sha256
        self._packed = packed
        self.packed_bytes = packed.seek(0, SEEK_END)
        self.received_ms = int(time() * 1000)
        try:
            archive = zipfile.ZipFile(packed)
            names = archive.namelist()
            if len(names) != 1 or archive.testzip() is not None:
                raise _UnprovenError(f"its checksum is right, but {len(names)} files are in it, or a spoilt one")
            self._unpacked = archive.open(names[0])
            self._size = archive.getinfo(names[0]).file_size
            self.head = self._unpacked.read(_HEAD_BYTES)
        except _NOT_A_ZIP as exc:
            raise _UnprovenError(f"its checksum is right, but it cannot be unpacked: {exc}") from exc

    @property
    def offset(self) -> int:
        """Where the next chunk begins, bytes of what is packed."""
        return self._unpacked.tell()

    @property
    def is_read(self) -> bool:
        """Whether there is no next chunk."""
        return self.offset >= self._size

    def close(self) -> None:
        """Give the disk back."""
        self._packed.close()

    async def seek(self, offset: int) -> None:
        """Go on from there."""
        await asyncio.to_thread(self._unpacked.seek, offset)

    async def read(self, parse: Callable[[bytes], Lines]) -> Lines:
        """Read the next chunk, which is some whole lines."""
        return await asyncio.to_thread(self._read, parse)

    def _read(self, parse: Callable[[bytes], Lines]) -> Lines:
        chunk = self._unpacked.read(_CHUNK_BYTES)
        if not chunk.endswith(b"\n"):
            chunk += self._unpacked.readline(_LINE_BYTES_MAX)
        return parse(chunk)
