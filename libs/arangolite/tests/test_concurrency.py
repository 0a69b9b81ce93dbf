"""Many clients at once, reading and writing: nobody is refused, nobody waits for ever, nothing is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

from arango import ArangoClient
from arango.database import StandardDatabase

from arangolite import RunningServer

CLIENTS = 20
ROUNDS = 12
SHARED = 200


class Client:
    """One client with connections of its own."""

    def __init__(self, number: int, url: str, database: str, password: str) -> None:
        self.number = number
        self.rounds = 0
        self.sums: list[int] = []
        self._client = ArangoClient(hosts=url)
        self._db = self._client.db(database, username="root", password=password)

    def work(self, start: threading.Barrier) -> None:
        start.wait()
        for place in range(ROUNDS):
            self.round(place)
            self.rounds += 1
        self._client.close()

    def round(self, place: int) -> None:
        """Write a document, change a shared one, read a range, and read everything in small batches."""
        aql = self._db.aql
        self._db.collection("own").insert({"_key": f"{self.number}-{place}", "client": self.number, "place": place})
        aql.execute("FOR d IN shared FILTER d._key == 'counter' UPDATE d WITH {n: d.n + 1} IN shared")
        own = "FOR d IN own FILTER d.client == @client SORT d.place RETURN d.place"
        assert list(aql.execute(own, bind_vars={"client": self.number})) == list(range(place + 1))
        cursor = aql.execute("FOR d IN shared FILTER d.share != null RETURN d.share", batch_size=50)
        self.sums.append(sum(cursor))


def test_twenty_clients_read_and_write_without_error_and_none_starves(
    server: RunningServer, db: StandardDatabase
) -> None:
    db.create_collection("own").add_index({"type": "persistent", "fields": ["client", "place"]})
    shared = db.create_collection("shared")
    shared.import_bulk([{"share": n} for n in range(SHARED)])
    shared.insert({"_key": "counter", "n": 0})
    clients = [Client(number, server.url, db.name, server.password) for number in range(CLIENTS)]
    start = threading.Barrier(CLIENTS)
    slowest_when_done = []

    def work(client: Client) -> None:
        client.work(start)
        slowest_when_done.append(min(other.rounds for other in clients))

    with ThreadPoolExecutor(CLIENTS) as threads:
        for done in [threads.submit(work, client) for client in clients]:
            done.result()
    assert slowest_when_done[0] > 0, "one client was through before another had finished a single round"
    assert db.collection("own").count() == CLIENTS * ROUNDS
    assert shared.get("counter")["n"] == CLIENTS * ROUNDS
    assert {total for client in clients for total in client.sums} == {sum(range(SHARED))}
