import json
import logging
import sys

import pytest
from loguru import logger

from streamforge_common.settings import LogSettings
from streamforge_common.telemetry import configure_logging


@pytest.fixture
def json_log(capsys):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(LogSettings(log_format="json"), "a-service", queue_id="wf-1", attempt=2)
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logger.remove()
    logger.add(sys.stderr)
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


def test_a_line_is_one_json_object_with_the_fields_of_the_contract(json_log):
    logger.bind(telemetry_id="t").info("moved {} records\nin two lines", 3)
    (line,) = json_log()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "service": "a-service",
        "queue_id": "wf-1",
        "attempt": 2,
        "telemetry_id": "t",
        "message": "moved 3 records\nin two lines",
    }


def test_a_traceback_stays_in_its_line(json_log):
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it failed")
    (line,) = json_log()
    assert line["message"] == "it failed"
    assert "ValueError: broken" in line["traceback"]


def test_messages_of_the_standard_library_are_led_there_too(json_log):
    logging.getLogger("uvicorn").warning("%s is odd", "this")
    assert [(line["level"], line["message"]) for line in json_log()] == [("WARNING", "this is odd")]


def test_aiokafka_complains_seldom_and_nobody_else_is_held_back(json_log):
    for number in range(100):
        logging.getLogger("aiokafka.conn").error("no node %s", number)
        logging.getLogger("uvicorn").info("request %s", number)
    messages = [line["message"] for line in json_log()]
    assert messages.count("no node 0") == 1
    assert len(messages) == 101
