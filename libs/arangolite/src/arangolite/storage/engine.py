"""The data folder: one SQLite file per database, held by one process at a time."""

import asyncio
import fcntl
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from arangolite.errors import ArangoError, Problem, StartupError
from arangolite.storage.database import Database, KeyCheck
from arangolite.storage.names import SYSTEM_DATABASE, check_database_name
from arangolite.storage.revisions import Clock

_READER_THREADS = 8  # Python runs one at a time; more than a few only let long queries and short reads take turns
_SUFFIX = ".sqlite"


class Engine:
    """All databases of a data folder."""

    def __init__(self, folder: Path, check_key: KeyCheck | None = None) -> None:
        self.folder = folder
        self._check_key = check_key
        self.clock = Clock()
        self.threads = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix="arangolite-read")
        """For short work: reading a document, counting, parsing an import."""
        self.query_threads = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix="arangolite-query")
        """For queries, which may be long: however many run, the short work gets its turn."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _take_lock(folder)
        self._changing = asyncio.Lock()
        names = sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))
        self._databases = {name: self._open(name) for name in dict.fromkeys([SYSTEM_DATABASE, *names])}

    @property
    def databases(self) -> Mapping[str, Database]:
        """The open databases by name."""
        return self._databases

    def database(self, name: str) -> Database:
        """Find a database, or refuse with 1228."""
        found = self._databases.get(name)
        if found is None:
            raise ArangoError(Problem.DATABASE_NOT_FOUND, f"database not found: {name}")
        return found

    async def create(self, name: object) -> Database:
        """Create a database, or refuse with 1229 or 1207."""
        checked = check_database_name(name)
        async with self._changing:
            if checked in self._databases:
                raise ArangoError(Problem.DUPLICATE_NAME)
            database = await asyncio.get_running_loop().run_in_executor(self.threads, self._open, checked)
            self._databases[checked] = database
            return database

    async def drop(self, name: str) -> None:
        """Remove a database and its file."""
        if name == SYSTEM_DATABASE:
            raise ArangoError(Problem.FORBIDDEN)
        async with self._changing:
            database = self.database(name)
            del self._databases[name]
            await asyncio.get_running_loop().run_in_executor(self.threads, _remove, database)

    def close(self) -> None:
        """Close every file and let another process have the folder."""
        self.threads.shutdown(wait=True, cancel_futures=True)
        self.query_threads.shutdown(wait=True, cancel_futures=True)
        for database in self._databases.values():
            database.close()
        self._lock.close()

    def _open(self, name: str) -> Database:
        path = self.folder / f"{name}{_SUFFIX}"
        if not path.exists():
            _remove_files(path)  # a log that outlived its file would be replayed into the new one
        database = Database(name, path, self.threads, self.clock)
        database.check_key = self._check_key
        return database


def _remove(database: Database) -> None:
    database.close()
    _remove_files(database.path)


def _remove_files(path: Path) -> None:
    # The main file goes first: a database is there as long as its main file is, should the process die in between.
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _take_lock(folder: Path) -> io.TextIOWrapper:
    """Hold the folder for this process; the kernel lets go of it however the process ends."""
    handle = (folder / "LOCK").open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        handle.close()
        raise StartupError(
            f"the data folder {str(folder)!r} is in use by another arangolite; stop it or choose another folder"
        ) from exc
    return handle
