"""The table of kinds: every trouble that trials make."""

from collections.abc import Callable

from tests.chaos.arena import Order, TradeOrder
from tests.chaos.faults_between import KillBeforeStored, ReadEventsAgain, WhileLoading
from tests.chaos.faults_database import DatabaseFault, RefuseDocuments
from tests.chaos.faults_exchange import ArchiveFault, BanAndKill, ExchangeFault
from tests.chaos.faults_points import DieAround, DieWhileDeleting, DieWhileRepairing, DieWhileStopping, Together
from tests.chaos.faults_processes import FreezeComponent, KillComponent, KillJob, KillQueueManager, Twin
from tests.chaos.faults_topic import RefusePages
from tests.chaos.trial import Fault

KINDS: dict[str, Callable[[], Fault]] = {
    "kill-loader": lambda: KillJob("loader-producer"),
    "kill-loader-of-archives": lambda: KillJob("loader-producer", Order.draw_archived),
    "kill-loader-of-trades": lambda: KillJob("loader-producer", TradeOrder.draw),
    "kill-connector": lambda: KillJob("arango-connector"),
    "kill-connector-before-stored": KillBeforeStored,
    "kill-queue-manager": lambda: KillQueueManager(10.0),
    "kill-queue-manager-at-launch": lambda: KillQueueManager(1.5),
    "queue-manager-reads-again": ReadEventsAgain,
    "die-around-post": lambda: DieAround({"claim-key": 0, "insert": 0, "confirm-key": 0}),
    "die-around-keeping": lambda: DieAround({"replace": 3, "copy-audit": 3, "commit-place": 1}),
    "die-around-launch": lambda: DieAround({"create-topic": 0, "tell": 1, "launch": 1}),
    "die-around-retention": lambda: DieAround({"set-retention": 0}),
    "die-around-ban": lambda: Together(
        DieAround({"note-ban": 0}), ExchangeFault("418", most=1, seconds=(6.0, 15.0), all_can_know=False)
    ),
    "die-around-stop": lambda: WhileLoading(DieWhileStopping({"delete-job": 0})),
    "die-around-delete": lambda: DieWhileDeleting({"delete-topic": 0, "drop-collection": 0, "forget": 0}),
    "die-around-repair": lambda: DieWhileRepairing({"replace": 2, "set-retention": 0, "tell": 0, "launch": 0}),
    "kill-broker": lambda: KillComponent("kafka"),
    "freeze-broker": lambda: FreezeComponent("kafka"),
    "kill-broker-while-loading": lambda: WhileLoading(KillComponent("kafka", (8.0, 20.0))),
    "freeze-broker-while-loading": lambda: WhileLoading(FreezeComponent("kafka")),
    "broker-refuses-pages": lambda: WhileLoading(RefusePages()),
    "kill-database": lambda: KillComponent("arangolite"),
    "freeze-database": lambda: FreezeComponent("arangolite"),
    "database-503": lambda: DatabaseFault("status"),
    "database-slow": lambda: DatabaseFault("delay"),
    "database-reset": lambda: DatabaseFault("reset"),
    "database-refuses": RefuseDocuments,
    "exchange-429": lambda: ExchangeFault("429", seconds=(1.0, 5.0)),
    "exchange-418": lambda: ExchangeFault("418", most=1, seconds=(3.0, 15.0)),
    "exchange-418-kill-loader": BanAndKill,
    "exchange-500": lambda: ExchangeFault("500"),
    "exchange-503": lambda: ExchangeFault("503"),
    "exchange-timeout": lambda: ExchangeFault("timeout", most=1),
    "exchange-slow": lambda: ExchangeFault("slow", seconds=(1.0, 5.0)),
    "exchange-reset": lambda: ExchangeFault("reset"),
    "exchange-truncated-json": lambda: ExchangeFault("truncated_json"),
    "exchange-malformed-json": lambda: ExchangeFault("malformed_json"),
    "exchange-html": lambda: ExchangeFault("html"),
    "exchange-short-page": lambda: ExchangeFault("short_page"),
    "exchange-duplicated-rows": lambda: ExchangeFault("duplicated_rows"),
    "exchange-missing-rows": lambda: ExchangeFault("missing_rows"),
    "archive-wrong-checksum": lambda: ArchiveFault("wrong_checksum"),
    "archive-corrupt-zip": lambda: ArchiveFault("corrupt_zip"),
    "archive-missing-file": lambda: ArchiveFault("missing_file"),
    "archive-cut-file": lambda: ArchiveFault("cut_file"),
    "twin-loader": lambda: Twin("loader-producer"),
    "late-loader": lambda: Twin("loader-producer", late=True),
    "twin-connector": lambda: Twin("arango-connector"),
}

FAST = (
    "kill-loader",
    "die-around-retention",
    "database-refuses",
    "exchange-429",
    "exchange-missing-rows",
)
"""One trial of each goes into the tests."""
