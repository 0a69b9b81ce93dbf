"""API keys: who is let in, and what each role may do; asked of every route that there is."""

import asyncio
import os
import re
import secrets
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

import arangolite
from queue_manager.adapters.api import create_api
from queue_manager.app import keys as keys_module
from queue_manager.app.controller import Controller
from queue_manager.app.examining import Examiner
from queue_manager.app.keys import ADMIN_FILE_ID, Keyring, Role
from queue_manager.testing import Crash, MemoryKeyStore, MemoryLauncher, MemoryLog, MemoryStore
from streamforge_common.errors import FatalError, TransientError
from streamforge_local.ports import PortClaims

GOOD = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}
OPEN = ("/health", "/metrics", "/docs")
ADMIN_SECRET = "0123456789abcdef" * 4


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now


class NothingStored:
    async def count(self, dataset, field, start, end):
        return 0

    async def rejected(self, queue_id, dataset):
        return 0


class Platform:
    def __init__(self, *, always_asks=False):
        crash = Crash()
        self.clock, self.key_store, self.store = Clock(), MemoryKeyStore(), MemoryStore(crash)
        launcher = MemoryLauncher(crash)
        controller = Controller(
            self.store, MemoryLog(crash), launcher, clock=self.clock, stop_grace_s=60, most_running=2
        )
        self.keyring = Keyring(self.key_store, clock=self.clock, always_asks=always_asks)
        examiner = Examiner(self.store, None, None)  # nothing ends here
        self.app = create_api(controller, self.store, launcher, NothingStored(), examiner, [], self.keyring)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://queue-manager")

    async def call(self, method, path, key=None, **sent):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return await self.client.request(method, path, headers=headers, **sent)

    async def make(self, role, by=None, name=""):
        answer = await self.call("POST", "/keys", by, json={"role": role, "name": name})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def calls(self):
        """Every call that the API offers, with something in place of every name in its path."""
        for route in self.app.routes:
            if isinstance(route, APIRoute):
                path = route.path.replace("{steering}", "stop")
                for method in route.methods:
                    yield method, re.sub(r"{\w+}", "none", path)


@pytest.fixture
async def platform():
    platform = Platform()
    async with platform.client:
        yield platform


@pytest.fixture
async def admin(platform):
    return (await platform.make("admin"))["key"]


async def test_on_loopback_nobody_needs_a_key_until_there_is_one(platform):
    assert (await platform.call("POST", "/workflows", json=GOOD)).status_code == 201
    await platform.make("admin")
    answer = await platform.call("GET", "/workflows")
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="streamforge"'


async def test_without_a_key_nothing_answers_but_health_metrics_and_docs(platform, admin):
    calls = list(platform.calls())
    assert ("POST", "/workflows") in calls
    for method, path in [*calls, ("GET", "/nowhere"), ("GET", "/redoc"), ("POST", "/health/"), ("OPTIONS", "/keys")]:
        for key in (None, "wrong", admin[:-1], f"{admin}x", ""):
            answer = await platform.call(method, path, key)
            assert answer.status_code == (200 if path in OPEN else 401), (method, path, key)
    page = await platform.call("GET", "/docs")
    assert page.status_code == 200
    assert "://" not in page.text, "the page needs something from elsewhere"
    loaded = re.findall(r"(?:src|href|url)(?:=|: )[\"']([^\"']+)", page.text)
    assert "openapi.json" in loaded
    assert len(loaded) >= 4
    for path in loaded:
        assert (await platform.call("GET", f"/{path}")).status_code == 200, path
    assert (await platform.call("GET", "/openapi.json")).json()["components"]["securitySchemes"]


async def test_a_viewer_reads_and_changes_nothing(platform, admin):
    queue_id = (await platform.call("POST", "/workflows", admin, json=GOOD)).json()["queue_id"]
    viewer = (await platform.make("viewer", admin))["key"]
    before = dict(platform.store.documents), dict(platform.key_store.by_id)
    for method, path in platform.calls():
        path = path.replace("/workflows/none", f"/workflows/{queue_id}")
        answer = await platform.call(method, path, viewer)
        if path == "/keys" or path.startswith("/keys/") or method not in ("GET", "HEAD"):
            assert answer.status_code == 403, (method, path)
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            assert answer.headers["Content-Type"] == "application/problem+json"
        else:
            assert answer.status_code == 200, (method, path)
    assert platform.store.documents == before[0]
    assert set(platform.key_store.by_id) == set(before[1])


async def test_an_operator_steers_workflows_and_makes_no_keys(platform, admin):
    operator = (await platform.make("operator", admin))["key"]
    created = await platform.call("POST", "/workflows", operator, json=GOOD)
    assert created.status_code == 201
    assert (await platform.call("POST", f"{created.headers['Location']}/stop", operator)).status_code == 202
    for method in ("GET", "POST"):
        assert (await platform.call(method, "/keys", operator)).status_code == 403


async def test_the_audit_trail_names_the_key_of_whoever_did_it(platform, admin):
    made = await platform.make("operator", admin)
    path = (await platform.call("POST", "/workflows", made["key"], json=GOOD)).headers["Location"]
    for wish in ("pause", "pause", "stop"):
        await platform.call("POST", f"{path}/{wish}", made["key"])
    items = (await platform.call("GET", f"{path}/events", admin)).json()["items"]
    told = [item["data"] for item in items if "by" in item["data"]]
    by = made["id"]
    assert told == [{"status": "pending", "by": by}, {"wish": "pause", "by": by}, {"wish": "stop", "by": by}]
    assert [item["seq"] for item in items] == list(range(1, len(items) + 1))


async def test_a_key_is_told_once_and_kept_as_a_hash(platform, admin):
    made = await platform.make("viewer", admin, name="Grafana")
    listed = (await platform.call("GET", "/keys", admin)).json()["items"]
    assert [(key["name"], key["role"]) for key in listed] == [("", "admin"), ("Grafana", "viewer")]
    assert listed[1]["created_by"] == listed[0]["id"]
    assert set(listed[1]) == {"id", "name", "role", "created_at", "created_by", "last_used_at", "revoked_at"}
    kept = repr(platform.key_store.by_id)
    assert made["key"] not in kept
    assert len(made["key"]) > 40


async def test_a_revoked_key_is_none_at_once_and_stays_listed(platform, admin):
    made = await platform.make("operator", admin)
    assert (await platform.call("GET", "/workflows", made["key"])).status_code == 200
    for _ in range(2):
        assert (await platform.call("DELETE", f"/keys/{made['id']}", admin)).status_code == 204
    answer = await platform.call("GET", "/workflows", made["key"])
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert (await platform.call("GET", "/keys", admin)).json()["items"][1]["revoked_at"] is not None
    assert (await platform.call("DELETE", "/keys/none", admin)).status_code == 404


async def test_nobody_can_lock_everybody_out(platform):
    assert (await platform.call("POST", "/keys", json={"role": "viewer"})).status_code == 409
    first = await platform.make("admin")
    assert (await platform.call("DELETE", f"/keys/{first['id']}", first["key"])).status_code == 409
    second = await platform.make("admin", first["key"])
    assert (await platform.call("DELETE", f"/keys/{first['id']}", second["key"])).status_code == 204
    assert (await platform.call("DELETE", f"/keys/{second['id']}", second["key"])).status_code == 409


@pytest.mark.parametrize(
    "body", [{}, {"role": "root"}, {"role": "viewer", "digest": "0" * 64}, {"role": "viewer", "name": "x" * 101}]
)
async def test_a_key_that_cannot_be_is_refused(platform, admin, body):
    assert (await platform.call("POST", "/keys", admin, json=body)).status_code == 422


async def test_what_another_replica_revokes_is_none_within_seconds(platform, admin, monkeypatch):
    made = await platform.make("viewer", admin)
    assert (await platform.call("GET", "/workflows", made["key"])).status_code == 200
    await Keyring(platform.key_store, clock=platform.clock, always_asks=False).revoke(made["id"], None)
    monkeypatch.setattr(keys_module, "_KNOWN_FOR_S", 0)
    assert (await platform.call("GET", "/workflows", made["key"])).status_code == 401


async def test_the_use_of_a_key_is_noted_once_a_minute(platform, admin):
    for _ in range(3):
        await platform.call("GET", "/workflows", admin)
    assert platform.key_store.notes == 1
    platform.clock.now += timedelta(minutes=2)
    await platform.call("GET", "/workflows", admin)
    assert platform.key_store.notes == 2
    (key,) = platform.key_store.by_id.values()
    assert key.last_used_at == "2026-01-01T00:02:00.000Z"


async def test_nobody_is_let_in_while_the_keys_cannot_be_read(platform, admin, monkeypatch):
    async def away():
        raise TransientError("connection refused")

    monkeypatch.setattr(platform.key_store, "keys", away)
    monkeypatch.setattr(keys_module, "_KNOWN_FOR_S", 0)
    answer = await platform.call("GET", "/workflows", admin)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert (await platform.call("GET", "/health")).status_code == 200


async def test_for_others_than_this_machine_nothing_starts_without_a_key_and_all_is_asked_for_one():
    platform = Platform(always_asks=True)
    async with platform.client:
        with pytest.raises(FatalError, match="STREAMFORGE_ADMIN_KEY_FILE"):
            await platform.keyring.prepare(None)
        assert (await platform.call("POST", "/keys", json={"role": "admin"})).status_code == 401
        await platform.keyring.prepare(ADMIN_SECRET)
        assert (await platform.make("viewer", ADMIN_SECRET))["created_by"] == ADMIN_FILE_ID


@pytest.mark.parametrize("secret", ["", "short", "x" * 31, "with spaces in it, and long enough", "ä" * 40])
async def test_a_file_that_holds_no_key_is_refused(platform, secret):
    with pytest.raises(FatalError, match="at least 32"):
        await platform.keyring.prepare(secret)


async def test_another_key_in_the_file_takes_the_place_of_the_first(platform):
    await platform.keyring.prepare(ADMIN_SECRET)
    await platform.keyring.prepare(ADMIN_SECRET[::-1])
    assert (await platform.call("GET", "/keys", ADMIN_SECRET)).status_code == 401
    assert len((await platform.call("GET", "/keys", ADMIN_SECRET[::-1])).json()["items"]) == 1


@given(st.sampled_from(Role), st.sampled_from(Role), st.sampled_from(Role))
def test_roles_are_a_ladder(one, other, third):
    assert one.includes(other) or other.includes(one)
    assert not (one.includes(other) and other.includes(third)) or one.includes(third)
    assert (one.includes(other) and other.includes(one)) == (one is other)


# --- the real process, over a real broker and database ---------------------------------------------------------------


@pytest.fixture(scope="module")
def database():
    with arangolite.start() as server:
        yield server


@pytest.fixture
def port():
    with PortClaims() as claims:
        yield claims.claim()


@asynccontextmanager
async def queue_manager(kafka_broker, database, name, port, **environment):
    settings = {
        "PATH": os.defpath,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
        "QUEUE_CONTROL_TOPIC": f"control-{name}",
        "QUEUE_EVENTS_TOPIC": f"events-{name}",
        "ARANGO_URL": database.url,
        "ARANGO_DATABASE": name,
        "ARANGO_USERNAME": database.username,
        "ARANGO_PASSWORD": database.password,
        "API_PORT": str(port),
        "JOB_RUNNER_URL": "http://127.0.0.1:1",
        "JOB_RUNNER_TOKEN": "none",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "queue_manager", env=settings | environment, stderr=asyncio.subprocess.PIPE
    )
    said = ""
    try:
        while line := (await process.stderr.readline()).decode():
            said += line
            if "running on" in line:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                    yield client
                return
        yield said
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_a_queue_manager_for_others_starts_with_an_admins_key_only(kafka_broker, database, port, tmp_path):
    name = f"keys_{secrets.token_hex(3)}"
    file = tmp_path / "admin-key"
    file.write_text(f"{ADMIN_SECRET}\n")
    async with queue_manager(kafka_broker, database, name, port, API_HOST="0.0.0.0") as said:
        assert "there is no API key" in said
    admin = {"Authorization": f"Bearer {ADMIN_SECRET}"}
    environment = {"API_HOST": "0.0.0.0", "STREAMFORGE_ADMIN_KEY_FILE": str(file)}
    async with queue_manager(kafka_broker, database, name, port, **environment) as client:
        assert (await client.get("/workflows")).status_code == 401
        made = (await client.post("/keys", json={"role": "viewer"}, headers=admin)).json()
        viewer = {"Authorization": f"Bearer {made['key']}"}
        assert (await client.get("/workflows", headers=viewer)).json() == {"items": [], "next_cursor": None}
        assert (await client.post("/workflows", json=GOOD, headers=viewer)).status_code == 403
        used = [key["last_used_at"] is not None for key in (await client.get("/keys", headers=admin)).json()["items"]]
        assert used == [True, True]
    async with queue_manager(kafka_broker, database, name, port, API_HOST="0.0.0.0") as client:
        assert (await client.get("/workflows", headers=viewer)).status_code == 200
        assert (await client.delete(f"/keys/{made['id']}", headers=admin)).status_code == 204
        assert (await client.get("/workflows", headers=viewer)).status_code == 401
