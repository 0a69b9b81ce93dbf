"""Who may do what."""

from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
import requests
from arango import ArangoClient
from arango.database import StandardDatabase
from arango.exceptions import (
    AQLQueryExecuteError,
    ArangoServerError,
    CollectionCreateError,
    DatabaseCreateError,
    DocumentInsertError,
    PermissionUpdateError,
    UserCreateError,
    UserGetError,
    UserListError,
)

import arangolite

As = Callable[..., StandardDatabase]


@pytest.fixture
def ann(system: StandardDatabase) -> Iterator[str]:
    system.create_user("ann", "secret", extra={"team": "red"})
    yield "ann"
    system.delete_user("ann", ignore_missing=True)


@pytest.fixture
def log_in(client: ArangoClient, db: StandardDatabase, ann: str) -> As:
    def log_in(password: str = "secret", name: str = db.name) -> StandardDatabase:
        return client.db(name, ann, password)

    return log_in


def refusal(call: Callable[[], object]) -> tuple[int | None, int | None]:
    with pytest.raises(ArangoServerError) as refused:
        call()
    return refused.value.http_code, refused.value.error_code


def test_users_are_created_changed_and_removed(system: StandardDatabase, ann: str) -> None:
    assert system.user(ann) == {"username": "ann", "active": True, "extra": {"team": "red"}}
    with pytest.raises(UserCreateError) as twice:
        system.create_user(ann, "x")
    assert twice.value.error_code == 1702
    assert system.update_user(ann, extra={"floor": 2})["extra"] == {"team": "red", "floor": 2}
    assert system.replace_user(ann, "new", active=False, extra={"floor": 3})["extra"] == {"floor": 3}
    assert [user["username"] for user in system.users()] == ["root", "ann"]
    assert system.delete_user(ann)
    with pytest.raises(UserGetError) as gone:
        system.user(ann)
    assert gone.value.error_code == 1703
    assert refusal(lambda: system.delete_user("root")) == (403, 11)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "x" * 200])
def test_impossible_names_are_refused(system: StandardDatabase, name: str) -> None:
    assert refusal(lambda: system.create_user(name, "x"))[1] == 1700


def test_only_the_right_password_of_an_active_user_opens(system: StandardDatabase, ann: str, log_in: As) -> None:
    system.update_permission(ann, "rw", log_in().name)
    assert log_in().collections() is not None
    assert refusal(log_in("wrong").collections) == (401, 11)
    system.update_user(ann, "fresh")
    assert refusal(log_in().collections) == (401, 11)
    assert log_in("fresh").collections() is not None
    system.update_user(ann, active=False)
    assert refusal(log_in("fresh").collections) == (401, 11)


def test_a_user_may_see_himself_and_change_his_password(system: StandardDatabase, log_in: As) -> None:
    himself = log_in(name="_system")
    assert himself.user("ann")["active"]
    himself.update_user("ann", "mine")
    assert log_in("mine", "_system").user("ann")["extra"] == {"team": "red"}
    assert refusal(lambda: log_in("mine", "_system").user("root")) == (403, 11)


def test_no_access_to_a_database_is_401_whether_or_not_it_is_there(log_in: As) -> None:
    assert refusal(log_in().collections) == (401, 11)
    assert refusal(log_in(name="nowhere").collections) == (401, 11)


def test_reading_is_not_writing(system: StandardDatabase, db: StandardDatabase, log_in: As) -> None:
    db.create_collection("c").insert({"_key": "a"})
    system.update_permission("ann", "ro", db.name)
    own = log_in()
    assert own.collection("c").get("a")["_key"] == "a"
    assert list(own.aql.execute("FOR d IN c RETURN d._key")) == ["a"]
    assert refusal(lambda: own.collection("c").insert({})) == (403, 1004)
    assert refusal(lambda: own.collection("c").import_bulk([{}])) == (403, 1004)
    assert refusal(lambda: own.collection("c").truncate()) == (403, 1004)
    assert refusal(lambda: own.aql.execute("INSERT {} INTO c")) == (403, 1004)
    assert refusal(lambda: own.begin_transaction(write="c")) == (403, 1004)
    assert refusal(lambda: own.create_collection("d")) == (403, 11)
    assert refusal(lambda: own.delete_collection("c")) == (403, 11)
    assert refusal(lambda: own.create_graph("g")) == (403, 11)
    assert refusal(lambda: own.collection("c").add_index({"type": "persistent", "fields": ["x"]}))[0] == 403


def test_a_grant_for_a_collection_counts_more_than_that_for_its_database(
    system: StandardDatabase, db: StandardDatabase, log_in: As
) -> None:
    for name in ("open", "closed"):
        db.create_collection(name).insert({"_key": "a"})
    system.update_permission("ann", "ro", db.name)
    system.update_permission("ann", "rw", db.name, "open")
    system.update_permission("ann", "none", db.name, "closed")
    own = log_in()
    assert own.collection("open").insert({"_key": "b"})
    assert refusal(lambda: own.collection("closed").get("a")) == (403, 11)
    for query in ("FOR d IN closed RETURN d", "RETURN DOCUMENT('closed/a')", "RETURN DOCUMENT(CONCAT('clo', 'sed/a'))"):
        with pytest.raises(AQLQueryExecuteError) as hidden:
            list(own.aql.execute(query))
        assert (hidden.value.http_code, hidden.value.error_code) == (403, 11)
    assert refusal(lambda: own.aql.execute("FOR i IN [1] INSERT {x: DOCUMENT('closed/a')} INTO open")) == (403, 11)
    assert {found["name"] for found in own.collections()} == {"open"}
    assert system.permission("ann", db.name, "closed") == "none"
    system.reset_permission("ann", db.name, "closed")
    assert own.collection("closed").get("a") is not None


def test_a_query_knows_who_asks(
    server: arangolite.RunningServer, system: StandardDatabase, client: ArangoClient, db: StandardDatabase, log_in: As
) -> None:
    db.create_collection("c")
    system.update_permission("ann", "rw", db.name)
    token = jwt.encode({"iss": "arangodb", "server_id": "trial", "exp": 2**33}, server.jwt_secret, algorithm="HS256")
    for asking, name in ((log_in(), "ann"), (db, "root"), (client.db(db.name, superuser_token=token), None)):
        assert list(asking.aql.execute("RETURN CURRENT_USER()")) == [name]
        assert list(asking.aql.execute("INSERT {by: CURRENT_USER()} INTO c RETURN NEW.by")) == [name]


def test_stars_stand_for_what_has_no_grant(system: StandardDatabase, db: StandardDatabase, log_in: As) -> None:
    db.create_collection("c")
    system.update_permission("ann", "rw", "*")
    system.update_permission("ann", "ro", "*", "*")
    assert system.permission("ann", db.name) == "rw"
    assert refusal(lambda: log_in().collection("c").insert({})) == (403, 1004)
    assert log_in().create_collection("own").insert({})  # whoever creates a collection may use it
    system.update_permission("ann", "none", db.name)
    assert refusal(log_in().collections) == (401, 11)
    assert system.permissions("ann")["*"]["permission"] == "rw"


def test_only_administrators_manage_users_databases_and_the_server(
    system: StandardDatabase, db: StandardDatabase, log_in: As
) -> None:
    system.update_permission("ann", "ro", "_system")
    system.update_permission("ann", "rw", db.name)
    own = log_in(name="_system")
    with pytest.raises(UserListError):
        own.users()
    with pytest.raises(UserCreateError):
        own.create_user("eve", "x")
    with pytest.raises(PermissionUpdateError):
        own.update_permission("ann", "rw", "_system")
    with pytest.raises(DatabaseCreateError):
        own.create_database("theirs")
    assert refusal(own.log_levels)[0] == 403
    system.update_permission("ann", "rw", "_system")
    assert "ann" in [user["username"] for user in own.users()]
    assert refusal(lambda: system.update_permission("root", "ro", "_system")) == (403, 11)


def test_a_database_is_created_with_its_users(system: StandardDatabase, client: ArangoClient) -> None:
    system.create_database("shop", users=[{"username": "bob", "password": "b", "active": True}])
    try:
        shop = client.db("shop", "bob", "b")
        assert shop.create_collection("c").insert({})
        assert shop.databases_accessible_to_user() == ["shop"]
    finally:
        system.delete_database("shop")
    assert system.permission("bob", "shop") == "none"
    system.delete_user("bob")


def test_every_user_logs_in_for_a_token(server: arangolite.RunningServer, db: StandardDatabase, log_in: As) -> None:
    given = {"username": "ann", "password": "secret"}
    token = requests.post(f"{server.url}/_open/auth", json=given, timeout=10).json()["jwt"]
    headers = {"Authorization": f"bearer {token}"}
    answer = requests.get(f"{server.url}/_api/user/ann", headers=headers, timeout=10)
    assert answer.json()["user"] == "ann"
    answer = requests.get(f"{server.url}/_db/{db.name}/_api/collection", headers=headers, timeout=10)
    assert answer.status_code == 401
    answer = requests.post(f"{server.url}/_open/auth", json={**given, "password": "x"}, timeout=10)
    assert (answer.status_code, answer.json()["errorNum"]) == (401, 401)


def test_an_access_token_is_a_password_until_it_is_taken_back(server: arangolite.RunningServer, ann: str) -> None:
    root, url = ("root", server.password), f"{server.url}/_api/token/{ann}"
    made = requests.post(url, json={"name": "t", "valid_until": 2**31}, auth=root, timeout=10).json()
    again = requests.post(url, json={"name": "t"}, auth=root, timeout=10)
    assert again.status_code == 409
    for name in (ann, ""):
        himself = requests.get(f"{server.url}/_api/user/ann", auth=(name, made["token"]), timeout=10)
        assert himself.json()["user"] == ann
    assert requests.get(f"{server.url}/_api/user/root", auth=("root", made["token"]), timeout=10).status_code == 401
    assert requests.get(url, auth=root, timeout=10).json()["tokens"][0]["fingerprint"].startswith("v1...")
    assert requests.delete(f"{url}/{made['id']}", auth=root, timeout=10).status_code == 200
    assert requests.get(f"{server.url}/_api/user/ann", auth=(ann, made["token"]), timeout=10).status_code == 401


def test_users_survive_a_restart_and_no_password_is_on_the_disk(tmp_path: Path) -> None:
    def everything() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.iterdir())

    with arangolite.start(tmp_path, root_password="first") as server:
        system = ArangoClient(server.url).db("_system", "root", "first")
        system.create_user("ann", "open-sesame")
        system.update_permission("ann", "ro", "_system")
        system.update_user("root", "changed-by-hand")
        assert refusal(ArangoClient(server.url).db("_system", "root", "first").users) == (401, 11)
        stored = everything()
    assert b"open-sesame" not in stored
    assert b"changed-by-hand" not in stored
    with arangolite.start(tmp_path, root_password="") as server:
        ann = ArangoClient(server.url).db("_system", "ann", "open-sesame")
        assert refusal(lambda: ann.create_collection("c")) == (403, 11)
        assert ArangoClient(server.url).db("_system", "root", "changed-by-hand").permission("ann", "_system") == "ro"
    with arangolite.start(tmp_path, root_password="given-at-start") as server:
        assert ArangoClient(server.url).db("_system", "root", "given-at-start").has_user("ann")


def test_grants_end_with_what_they_are_for(system: StandardDatabase, db: StandardDatabase, log_in: As) -> None:
    db.create_collection("c")
    system.update_permission("ann", "rw", db.name)
    system.update_permission("ann", "none", db.name, "c")
    db.delete_collection("c")
    db.create_collection("c")
    assert log_in().collection("c").insert({})
    with pytest.raises(DocumentInsertError):
        log_in("wrong").collection("c").insert({})
    with pytest.raises(CollectionCreateError):
        log_in("wrong").create_collection("x")
