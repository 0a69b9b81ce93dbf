import gzip
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_sim.errors import RecordingError
from exchange_sim.market import TimeUnit
from exchange_sim.recording.files import read_recording
from exchange_sim.recording.layouts import AGG_TRADES, CANDLES

HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def candle(open_ms, price="1.5"):
    return f"{open_ms},{price},2,1,1.5,10,{open_ms + 59_999},15,3,5,7.5,0".encode()


FIRST = 1_738_368_000_000
LINES = [candle(FIRST), candle(FIRST + 60_000)]


def zipped(content, names=("inside.csv",)):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize("header", [b"", HEADER + b"\n"], ids=["bare", "header"])
@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".csv", bytes), (".csv.gz", gzip.compress), (".csv.zip", zipped), (".zip", zipped)],
)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_packing_is_read(tmp_path, header, suffix, pack, ending):
    (tmp_path / f"ABCUSDT-1m-2025-02{suffix}").write_bytes(pack(header + ending.join(LINES) + ending))
    [(key, table)] = read_recording(tmp_path).items()
    assert key == ("ABCUSDT", "candles_1m")
    assert table.rows(0, 2, TimeUnit.MILLISECOND) == [
        b'[%d,"1.5","2","1","1.5","10",%d,"15",3,"5","7.5","0"]' % (time, time + 59_999)
        for time in (FIRST, FIRST + 60_000)
    ]


def test_microseconds_are_known_by_their_magnitude(tmp_path):
    line = b"%d,1,1,1,1,1,%d,1,1,1,1,0" % (FIRST * 1000, FIRST * 1000 + 59_999_999)
    (tmp_path / "ABCUSDT-1mo-2025.csv").write_bytes(line)
    [(key, table)] = read_recording(tmp_path).items()
    assert key == ("ABCUSDT", "candles_1mo")
    [row] = table.rows(0, 1, TimeUnit.MILLISECOND)
    assert row.startswith(b"[%d," % FIRST)
    assert b",%d," % (FIRST + 59_999) in row


def test_files_of_one_series_are_put_in_order_and_the_later_file_corrects_the_earlier(tmp_path):
    (tmp_path / "ABCUSDT-1m-2025-03.csv").write_bytes(candle(FIRST + 120_000))
    (tmp_path / "ABCUSDT-1m-2025-01.csv").write_bytes(candle(FIRST + 180_000) + b"\n" + candle(FIRST, "1"))
    (tmp_path / "ABCUSDT-1m-2025-02.csv").write_bytes(candle(FIRST, "1.7"))
    [table] = read_recording(tmp_path).values()
    assert [table.time_us(index) // 1000 - FIRST for index in range(len(table))] == [0, 120_000, 180_000]
    assert table.sample(1) == [b"1.7", b"1.5", b"1.5"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (LINES[0] + b"\n" + LINES[1].replace(b"1.5", b"x"), "line 2: column 'open': expected a decimal number, found"),
        (LINES[0] + b"\n1,2,3", "line 2: expected 12 columns, found 3"),
        (LINES[0] + b"\n" + HEADER, "line 2: column 'open_time'"),
        (b"\xff\xfe" + LINES[0], "line 1: column 'open_time': expected a time in ms or us since 1970, found"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, content, complaint):
    path = tmp_path / "ABCUSDT-1m-2025-02.csv"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    assert str(caught.value).startswith(f"{path}, {complaint}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ABCUSDT-1m-2025-02.csv.gz", b"not packed at all"),
        ("ABCUSDT-1m-2025-02.csv.gz", gzip.compress(b"\n".join(LINES))[:-9]),
        ("ABCUSDT-1m-2025-02.zip", b"not packed at all"),
        ("ABCUSDT-1m-2025-02.zip", zipped(LINES[0], ["one.csv", "two.csv"])),
        ("notes.csv", LINES[0]),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=str(tmp_path)):
        read_recording(tmp_path)


def test_other_files_in_the_folder_are_left_out(tmp_path):
    (tmp_path / "README.md").write_text("about these files")
    (tmp_path / "ABCUSDT-1m-2025-02.csv").write_bytes(LINES[0])
    assert len(read_recording(tmp_path)) == 1


@given(
    st.binary(max_size=80) | st.lists(st.sampled_from([b"1", b"1.5", b"True", b"", b"x"]), max_size=13).map(b",".join)
)
@pytest.mark.parametrize("layout", [CANDLES, AGG_TRADES], ids=lambda layout: layout.name)
def test_a_line_either_matches_or_its_fault_is_explained(layout, line):
    assert layout.pattern.fullmatch(line) is not None or layout.explain(line)
