from exchange_sim.clock import MINUTE_US, SECOND_US
from exchange_sim.limits import TOLERATED_REFUSALS, WeightLimit

NOON = 1_700_000_040 * SECOND_US


def test_weight_is_counted_per_minute_of_the_clock():
    limit = WeightLimit(10)
    assert [limit.admit(4, NOON + n).used_weight for n in range(3)] == [4, 8, 12]
    assert limit.admit(4, NOON + MINUTE_US).used_weight == 4


def test_beyond_the_limit_the_answer_says_how_long_the_minute_still_lasts():
    limit = WeightLimit(10)
    limit.admit(10, NOON)
    verdict = limit.admit(1, NOON + 20 * SECOND_US + 1)
    assert (verdict.status, verdict.retry_after_s) == (429, 40)


def test_who_goes_on_asking_is_banned_each_time_twice_as_long():
    limit = WeightLimit(0)
    statuses = [limit.admit(1, NOON).status for _ in range(TOLERATED_REFUSALS + 1)]
    assert statuses == [429] * TOLERATED_REFUSALS + [418]
    in_ban = limit.admit(1, NOON + SECOND_US)
    assert (in_ban.status, in_ban.retry_after_s, in_ban.ban_age_us) == (418, 119, SECOND_US)
    later = NOON + 2 * MINUTE_US
    assert [limit.admit(1, later) for _ in range(TOLERATED_REFUSALS + 1)][-1].retry_after_s == 240


async def test_the_exchange_refuses_with_status_code_header_and_sentence(recorded, open_exchange):
    session = await open_exchange(recorded, weight_limit=30, clock=lambda: NOON)
    for _ in range(2):
        async with session.get("/api/v3/exchangeInfo") as response:
            last = response.status, response.headers.get("Retry-After"), (await response.json()).get("code")
    assert last == (429, "60", -1003)
    for _ in range(TOLERATED_REFUSALS):
        async with session.get("/api/v3/ping") as response:
            last = response.status, response.headers["Retry-After"], (await response.json())["msg"][:37]
    assert last == (418, "120", "Way too much request weight used; IP ")
    async with session.get("/_sim/requests") as response:
        assert b'"in_ban":false' in (await response.read()).splitlines()[-1]
    async with session.get("/api/v3/ping"), session.get("/_sim/requests") as response:
        assert b'"in_ban":true' in (await response.read()).splitlines()[-1]
