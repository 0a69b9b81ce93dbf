"""Wires the service: the API, or a job where a launcher has set TARGET; and its commands `load` and `simulate`."""

import asyncio
import signal
from time import monotonic_ns
from typing import Annotated, NoReturn

import msgspec
import typer
import uvloop
from loguru import logger

from dummy_service.adapters.api import create_api
from dummy_service.adapters.broker import Broker, require_topic
from dummy_service.adapters.commands import find_start
from dummy_service.adapters.leaving import leave
from dummy_service.adapters.roles import Target, role_of
from dummy_service.app.counting import count
from dummy_service.app.figures import LoadReport
from dummy_service.app.loading import Load, LoadPlan
from dummy_service.app.simulating import End, Fault, Outcome, Script, Simulation
from dummy_service.settings import Settings
from streamforge_common.api_server import serve_api
from streamforge_common.errors import StreamForgeError
from streamforge_common.job import Ending, JobRun, Work, run_job
from streamforge_common.kafka.records import RecordWriter
from streamforge_common.kafka.topics import PROBE_TOPIC, Topics
from streamforge_common.outages import Neighbour
from streamforge_common.settings import JobSettings, read_settings
from streamforge_common.telemetry import configure_job_logging, configure_logging

_SERVICE = "dummy-service"

app = typer.Typer(
    name=_SERVICE,
    help="The smallest StreamForge service. Without a command: the API, or a job where TARGET is set.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Report in JSON, for programs.")]


def main() -> None:
    """Run what the command line says."""
    app()


@app.callback()
def service(context: typer.Context) -> None:
    """Serve the API until SIGTERM, or do the job that a launcher has started."""
    if context.invoked_subcommand is not None:
        return
    settings = read_settings(Settings)
    if settings.target:
        _run_job(read_settings(JobSettings), count)
    configure_logging(settings, _SERVICE)
    try:
        uvloop.run(_serve(settings))
    except* StreamForgeError as group:
        logger.error("{}", "; ".join(str(error) for error in group.exceptions))
        raise SystemExit(1) from None


@app.command()
def load(
    rate: Annotated[float, typer.Option(min=0.001, max=1e7, help="Records a second.")] = 1_000,
    size: Annotated[int, typer.Option(min=1, max=10_000_000, help="Bytes of a record's value, which is noise.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.001, max=1e8, help="How long.")] = 10,
    topic: Annotated[str, typer.Option(help="Where to; it has to be there. This one is read by nobody.")] = PROBE_TOPIC,
    as_json: AsJson = False,
) -> None:
    """Put a load on the broker, and report what was reached.

    Records are published as loaders publish theirs. SIGTERM and Ctrl-C end it early, with its report. Exit code 0 only
    when every record that was sent is acknowledged; a broker that is away is waited for up to OUTAGE_SECONDS.
    """
    settings = read_settings(Settings)
    configure_logging(settings, _SERVICE)
    if topic in (settings.queue_control_topic, settings.queue_events_topic):
        raise typer.BadParameter(f"{topic!r} steers the platform; noise has no business there", param_hint="--topic")
    try:
        report = uvloop.run(_load(settings, LoadPlan(topic, rate, size, seconds)))
    except StreamForgeError as exc:
        typer.echo(f"error: {exc}", err=True)
        raise typer.Exit(1) from None
    _show(report, report.text(), as_json=as_json)
    raise typer.Exit(1 if report.unacknowledged else 0)


@app.command()
def simulate(
    queue_id: Annotated[str, typer.Option(envvar="QUEUE_ID", help="The workflow.")],
    target: Annotated[Target, typer.Option(envvar="TARGET", help="Whose part to play.")],
    telemetry_id: Annotated[
        str | None, typer.Option(envvar="TELEMETRY_ID", help="The task, where the workflow has several of the target.")
    ] = None,
    attempt: Annotated[int | None, typer.Option(envvar="ATTEMPT", min=1, help="Else the latest that was told.")] = None,
    rate: Annotated[float, typer.Option(min=0.001, max=1e7, help="Records a second, at most.")] = 1_000,
    records: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many records the work is. Else: all candles of the range, 1,000 trades, without end where the "
            "type is live; 3 where there is nothing to publish. A connector works until it is drained.",
        ),
    ] = None,
    fault: Annotated[Fault | None, typer.Option(help="How it goes wrong on its way.")] = None,
    fault_after: Annotated[
        int, typer.Option(min=0, help="Records before that; those of earlier starts count. 0: every start fails.")
    ] = 0,
    end: Annotated[End, typer.Option(help="How it ends when all is done.")] = End.COMPLETED,
    as_json: AsJson = False,
) -> None:
    """Play a task's part: to queue-manager it looks like the real one.

    It reads its commands, reports its events, and publishes or consumes real records. A launcher can start it in place
    of a service: what is not said here is read from the environment of a job.
    """
    if records is not None and target is Target.ARANGO_CONNECTOR:
        raise typer.BadParameter("a connector works until it is drained", param_hint="--records")
    if fault_after and fault is None:
        raise typer.BadParameter("there is no --fault that could come then", param_hint="--fault-after")
    settings = read_settings(Settings)
    configure_logging(settings, target.value)
    if telemetry_id is None or attempt is None:
        find = find_start(settings, queue_id, target.value, telemetry_id, attempt, patience_s=settings.outage_seconds)
        try:
            start = uvloop.run(find)
        except StreamForgeError as exc:
            typer.echo(f"error: {exc}", err=True)
            raise typer.Exit(1) from None
        telemetry_id, attempt = start.telemetry_id, start.attempt
    job = read_settings(JobSettings, queue_id=queue_id, target=target.value, telemetry_id=telemetry_id, attempt=attempt)
    configure_job_logging(job)
    played = _Played(Script(rate, fault, fault_after, end), records, job)
    exit_code = uvloop.run(run_job(job, played.work))
    outcome = played.outcome(exit_code)
    _show(outcome, outcome.text(), as_json=as_json)
    raise typer.Exit(exit_code)


class _Played:
    """A simulated task, and what came of it."""

    def __init__(self, script: Script, records: int | None, job: JobSettings) -> None:
        self._script = script
        self._records = records
        self._job = job
        self._run: JobRun | None = None
        self._ending: Ending | None = None

    async def work(self, run: JobRun) -> Ending:
        """Do the job's work."""
        self._run = run
        async with role_of(self._job, run, self._records) as role:
            self._ending = await Simulation(run, self._script, role, leave).play()
        return self._ending

    def outcome(self, exit_code: int) -> Outcome:
        """Sum up."""
        return Outcome(
            queue_id=self._job.queue_id,
            telemetry_id=self._job.telemetry_id,
            attempt=self._job.attempt,
            records_written=self._run.records_written if self._run else 0,
            ending=self._told_ending(exit_code),
            exit_code=exit_code,
        )

    def _told_ending(self, exit_code: int) -> str:
        if exit_code not in (0, self._job.interrupted_exit_code):
            return "error"
        if self._ending is None:
            return "interrupted" if self._run else "ended before it began"
        return type(self._ending).__name__.lower()


async def _load(settings: Settings, plan: LoadPlan) -> LoadReport:
    async with Topics(settings) as topics:
        await require_topic(topics, plan.topic)
    async with RecordWriter(settings, plan.topic, delivery_timeout_s=settings.outage_seconds) as writer:
        running = Load(plan, writer, monotonic_ns, patience_s=settings.outage_seconds)
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, running.interrupt)
        return await running.run()


def _show(result: msgspec.Struct, text: str, *, as_json: bool) -> None:
    typer.echo(msgspec.json.encode(result).decode() if as_json else text)


def _run_job(settings: JobSettings, work: Work) -> NoReturn:
    configure_job_logging(settings)
    raise SystemExit(uvloop.run(run_job(settings, work)))


async def _serve(settings: Settings) -> None:
    broker = Broker(settings)
    kafka = Neighbour("kafka", broker.reach, settings.outage_seconds)
    api = create_api(broker.ping, [kafka])
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(kafka.watch())
        await serve_api(api, settings.api_host, settings.api_port)
        watching.cancel()


if __name__ == "__main__":
    main()
