"""Folding commands into one wanted state."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamforge_common.contract.commands import Command, CommandKind, Wanted

commands = st.builds(
    lambda kind, ends, symbol: command(kind, ends if kind is CommandKind.DRAIN else None, symbol),
    st.sampled_from(CommandKind),
    st.dictionaries(st.integers(0, 3).map(str), st.integers(0, 99), min_size=1),
    st.sampled_from(["BTCUSDT", "ETHUSDT"]),
)


def command(
    kind: CommandKind, end_offsets: dict[str, int] | None = None, symbol: str = "BTCUSDT", at_s: float = 1.0
) -> Command:
    return Command(
        command=kind,
        queue_id="wf-test-20240801-a1b2c3",
        target="loader-producer",
        telemetry_id="loader-producer__a1b2c3",
        attempt=1,
        symbol=symbol,
        end_offsets=end_offsets,
        timestamp=at_s,
    )


def fold(log: list[Command], wanted: Wanted | None = None) -> Wanted:
    return reduce(lambda state, it: state.fold(it), log, wanted or Wanted())


@given(st.lists(commands))
def test_reading_the_whole_log_again_changes_nothing(log: list[Command]) -> None:
    assert fold(log, fold(log)) == fold(log)


@given(st.lists(commands))
def test_every_command_read_twice_in_a_row_counts_once(log: list[Command]) -> None:
    assert fold([it for it in log for _ in range(2)]) == fold(log)


@given(st.lists(st.sampled_from([CommandKind.PAUSE, CommandKind.RESUME]), min_size=1), st.data())
def test_a_wish_told_again_after_later_ones_changes_nothing(kinds: list[CommandKind], data: st.DataObject) -> None:
    log = [command(kind, at_s=float(number)) for number, kind in enumerate(kinds)]
    again = data.draw(st.lists(st.sampled_from(log)))
    assert fold([*log, *again]) == fold(log)


@given(st.lists(commands), st.lists(commands))
def test_nothing_takes_back_a_stop_or_another_start(before: list[Command], after: list[Command]) -> None:
    stopped = fold([*before, command(CommandKind.START), command(CommandKind.STOP)])
    later = fold(after, stopped)
    assert later.stopped
    assert later.start == stopped.start


def test_a_smaller_share_counts_at_once_and_a_larger_one_a_window_later() -> None:
    told = [(0.0, 0.125), (2.0, 0.5), (100.0, 0.25), (100.0, 0.25), (101.0, 0.5)]
    starts = [command(CommandKind.START, at_s=at_s).model_copy(update={"options": {"share": it}}) for at_s, it in told]
    assert fold([]).share(5, 0.0) == 1.0
    assert [fold(starts[:2]).share(5, now_s) for now_s in (2.0, 16.9, 17.1)] == [0.125, 0.125, 0.5]
    assert [fold(starts[:3]).share(5, now_s) for now_s in (100.0, 500.0)] == [0.25, 0.25]
    assert [fold(starts).share(5, now_s) for now_s in (101.0, 115.9, 116.1)] == [0.25, 0.25, 0.5]
    assert fold(starts).share(300, 400.0) == 0.25
    assert fold([*starts, *starts]) == fold(starts)


@given(commands)
def test_a_command_is_read_as_it_was_written(it: Command) -> None:
    assert Command.model_validate_json(it.encode()) == it


@pytest.mark.parametrize("end_offsets", [None, {}, {"x": 1}, {"-1": 1}])
def test_a_drain_that_does_not_say_how_far_is_malformed(end_offsets: dict[str, int] | None) -> None:
    with pytest.raises(ValidationError):
        command(CommandKind.DRAIN, end_offsets)
