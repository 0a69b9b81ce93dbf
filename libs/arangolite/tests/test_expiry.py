import time
from datetime import UTC, datetime, timedelta

import pytest
from arango.database import StandardDatabase
from arango.exceptions import IndexCreateError


def test_documents_over_their_time_go_and_all_others_stay(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.add_index({"type": "ttl", "fields": ["at"], "expireAfter": 60})
    now = datetime.now(UTC)
    things.insert_many(
        [
            {"_key": "old number", "at": now.timestamp() - 100},
            {"_key": "old-number", "at": now.timestamp() - 100},
            {"_key": "old-date", "at": (now - timedelta(seconds=100)).isoformat()},
            {"_key": "young-number", "at": now.timestamp()},
            {"_key": "young-date", "at": now.isoformat()},
            {"_key": "none"},
            {"_key": "nonsense", "at": "1 o'clock"},
            {"_key": "true", "at": True},
        ]
    )
    deadline = time.monotonic() + 30
    while things.has("old-date") or things.has("old-number"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {doc["_key"] for doc in things.all()} == {"young-number", "young-date", "none", "nonsense", "true"}
    assert list(db.aql.execute("FOR d IN things FILTER d.at == null RETURN d._key")) == ["none"]


@pytest.mark.parametrize(
    "wanted", [{"fields": ["a", "b"], "expireAfter": 1}, {"fields": ["a"]}, {"fields": ["a"], "expireAfter": -1}]
)
def test_wrong_ttl_indexes_are_refused(db: StandardDatabase, wanted: dict) -> None:
    things = db.create_collection("things")
    with pytest.raises(IndexCreateError) as refused:
        things.add_index({"type": "ttl", **wanted})
    assert refused.value.error_code == 10


def test_a_collection_has_one_ttl_index(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.add_index({"type": "ttl", "fields": ["a"], "expireAfter": 1})
    with pytest.raises(IndexCreateError):
        things.add_index({"type": "ttl", "fields": ["b"], "expireAfter": 1})
