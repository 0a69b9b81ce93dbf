"""The launcher against a server that answers as the API server does, where a real one cannot be made to: it refuses, \
forgets, falls silent. Against a real one it is tested in tests/cluster.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web

from queue_manager.adapters.kubernetes import launcher as launcher_module
from queue_manager.adapters.kubernetes import sight
from queue_manager.adapters.kubernetes.launcher import KubernetesLauncher
from queue_manager.app.ports import JobSpec, NameTakenError
from queue_manager.settings import KubernetesLauncherSettings, Settings
from streamforge_common.errors import FatalError, TransientError

NAME = "loader-producer-a1b2c3-1"
SPEC = JobSpec(NAME, "wf-a", "loader-producer", "loader-producer__a1b2c3", 1, 0)
SHARED = JobSpec(NAME, "wf-a", "loader-producer", "loader-producer__a1b2c3", 1, 0, "wf-a-data")
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
WITHIN_S = 20
"""Only so that a test that hangs says where."""


def job(name=NAME, queue_id="wf-a", version="1", **status):
    labels = {"streamforge.io/queue-id": queue_id, "streamforge.io/attempt": "1"}
    return {"metadata": {"name": name, "labels": labels, "resourceVersion": version}, "status": status}


def refusal(status, message="no"):
    body = {"kind": "Status", "status": "Failure", "message": message, "code": status}
    return web.json_response(body, status=status)


def page(*items, version="1", more=""):
    return web.json_response({"metadata": {"resourceVersion": version, "continue": more}, "items": list(items)})


class ApiServer:
    """Plays what it is told; the last answer of a kind stays."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.bodies = []
        self.hang = asyncio.Event()
        """Set at the end, so that a watch without an end has one."""

    def script(self, method, path, *answers):
        self.answers[method, path] = list(answers)

    async def handle(self, request):
        self.asked.append((request.method, request.path, dict(request.query)))
        if request.method == "POST":
            self.bodies.append(await request.json())
        kind = "WATCH" if "watch" in request.query else request.method
        answers = self.answers.get((kind, request.path), [refusal(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(answer, list):
            # An answer is sent once.
            return web.Response(body=answer.body, status=answer.status, content_type=answer.content_type)
        stream = web.StreamResponse()
        await stream.prepare(request)
        for change in answer:
            if change is None:
                await self.hang.wait()
                break
            await stream.write(json.dumps(change).encode() + b"\n")
        return stream

    def watches(self):
        return [query["resourceVersion"] for _, _, query in self.asked if "watch" in query]


def kubeconfig_for(folder, url):
    path = folder / "kubeconfig"
    contexts = {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
    clusters = {"clusters": [{"name": "c", "cluster": {"server": url}}]}
    path.write_text(json.dumps({**contexts, **clusters, "users": [{"name": "u", "user": {"token": "t"}}]}))
    return str(path)


@asynccontextmanager
async def launching(tmp_path, server, **settings):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kubeconfig = kubeconfig_for(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
    plan = KubernetesLauncherSettings(kubernetes_job_targets={"loader-producer": {"image": "loader:1"}}, **settings)
    try:
        async with asyncio.timeout(WITHIN_S), KubernetesLauncher(plan.plan(Settings()), kubeconfig) as launcher:
            yield launcher
    finally:
        server.hang.set()
        await runner.cleanup()


@pytest.fixture
async def server():
    return ApiServer()


@pytest.fixture
async def launcher(tmp_path, server):
    async with launching(tmp_path, server) as launcher:
        yield launcher


async def test_a_job_is_created_from_what_is_laid_down(server, launcher):
    server.script("POST", JOBS, web.json_response(job(), status=201))
    await launcher.launch(SPEC)
    (body,) = server.bodies
    assert body["metadata"]["name"] == NAME
    assert body["spec"]["template"]["spec"]["containers"][0]["image"] == "loader:1"
    assert server.asked[0][2] == {"fieldValidation": "Strict"}


@pytest.fixture
async def keda_launcher(tmp_path, server):
    async with launching(tmp_path, server, kubernetes_keda=True) as launcher:
        yield launcher


def deployment(queue_id="wf-a"):
    made = job(queue_id=queue_id)
    return made | {"metadata": made["metadata"] | {"uid": "0123"}}


async def test_what_keda_scales_is_a_deployment_and_the_scaled_object_that_goes_with_it(server, keda_launcher):
    """Whoever dies between the two is followed by one who finds the first."""
    server.script("POST", DEPLOYMENTS, web.json_response(deployment(), status=201), refusal(409))
    server.script("POST", SCALED_OBJECTS, refusal(503), web.json_response({}, status=201), refusal(409))
    server.script("GET", f"{DEPLOYMENTS}/{NAME}", web.json_response(deployment()))
    with pytest.raises(TransientError):
        await keda_launcher.launch(SHARED)
    for _ in range(2):
        await keda_launcher.launch(SHARED)

    scaled = [body for body in server.bodies if body["kind"] == "ScaledObject"]
    assert [body["metadata"]["ownerReferences"][0]["uid"] for body in scaled] == ["0123"] * 3
    assert {query.get("fieldValidation") for method, _, query in server.asked if method == "POST"} == {"Strict"}
    server.script("GET", f"{DEPLOYMENTS}/{NAME}", web.json_response(deployment(queue_id="wf-b")))
    with pytest.raises(NameTakenError, match="wf-b"):
        await keda_launcher.launch(SHARED)


async def test_without_keda_in_the_cluster_what_it_would_scale_is_refused_for_good(server, keda_launcher):
    server.script("POST", DEPLOYMENTS, web.json_response(deployment(), status=201))
    with pytest.raises(FatalError, match="scaled object"):
        await keda_launcher.launch(SHARED)


async def test_with_keda_jobs_are_both_kinds_and_either_is_deleted(server, keda_launcher):
    server.script("POST", JOBS, web.json_response(job(), status=201))
    await keda_launcher.launch(SPEC)
    server.script("GET", JOBS, page(job("loader-1")))
    server.script("GET", DEPLOYMENTS, page(deployment()))
    pod = {"metadata": {"name": "p", "labels": {"streamforge.io/job": NAME}}}
    server.script("GET", PODS, page(pod | {"status": {"phase": "Failed", "reason": "Evicted"}}))
    bounded, live = await keda_launcher.jobs("wf-a")
    assert (bounded.ends_by_itself, live.ends_by_itself) == (True, False)
    assert live.reason.startswith("Evicted")

    server.script("DELETE", f"{DEPLOYMENTS}/{NAME}", web.json_response(deployment()))
    await keda_launcher.delete(NAME)
    deleted = [(path, query["propagationPolicy"]) for method, path, query in server.asked if method == "DELETE"]
    assert deleted == [(f"{JOBS}/{NAME}", "Foreground"), (f"{DEPLOYMENTS}/{NAME}", "Foreground")]


async def test_a_job_of_that_name_counts_only_where_it_is_this_workflows(server, launcher):
    server.script("POST", JOBS, refusal(409))
    server.script("GET", f"{JOBS}/{NAME}", web.json_response(job()), web.json_response(job(queue_id="wf-b")))
    await launcher.launch(SPEC)
    with pytest.raises(NameTakenError, match="wf-b"):
        await launcher.launch(SPEC)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, FatalError),
        (403, FatalError),
        (422, FatalError),
        (401, TransientError),
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
    ],
)
async def test_what_the_cluster_will_never_take_is_fatal_and_the_rest_is_tried_again(server, launcher, status, error):
    server.script("POST", JOBS, refusal(status, "exceeded quota: jobs"))
    with pytest.raises(error, match="exceeded quota: jobs"):
        await launcher.launch(SPEC)


async def test_what_makes_no_job_is_fatal_before_it_is_sent(tmp_path, server):
    targets = {"loader-producer": {"image": "loader:1", "tolerations": [{"flavour": "sweet"}]}}
    async with launching(tmp_path, server) as launcher:
        launcher._plan = KubernetesLauncherSettings(kubernetes_job_targets=targets).plan(Settings())
        with pytest.raises(FatalError, match="flavour"):
            await launcher.launch(SPEC)
    assert server.asked == []


async def test_lists_go_on_to_their_last_page_and_pods_are_given_to_their_jobs(server, launcher):
    server.script("GET", JOBS, page(job(), more="next"), page(job("other-1", queue_id="wf-b"), version="7"))
    pod = {"metadata": {"name": "p", "labels": {"streamforge.io/job": NAME}}}
    server.script("GET", PODS, page(pod | {"status": {"phase": "Failed", "reason": "Evicted"}}))
    mine, other = await launcher.jobs()
    assert (mine.name, other.name) == (NAME, "other-1")
    assert mine.reason.startswith("Evicted")
    assert other.reason is None
    assert server.asked[1][2]["continue"] == "next"
    await launcher.jobs("wf-a")
    assert server.asked[-1][2]["labelSelector"] == (
        "app.kubernetes.io/managed-by=queue-manager,app.kubernetes.io/instance=streamforge,streamforge.io/queue-id=wf-a"
    )


async def test_how_long_a_job_has_had_no_pod_is_counted_from_its_last_one(tmp_path, server, monkeypatch):
    monkeypatch.setattr(sight, "_LONGEST_BACK_OFF", timedelta(seconds=0))
    old = job(startTime="2020-01-01T00:00:00Z")
    pod = {"metadata": {"name": "p", "labels": {"streamforge.io/job": NAME}}}
    server.script("GET", JOBS, page(old))
    server.script("GET", PODS, page(pod), page(), page(), page(pod), page())
    async with launching(tmp_path, server, kubernetes_job_start_seconds=0.1) as launcher:
        assert [(await launcher.jobs("wf-a"))[0].is_stuck for _ in range(2)] == [False, False]
        await asyncio.sleep(0.2)
        assert [(await launcher.jobs())[0].is_stuck for _ in range(3)] == [True, False, False]


async def test_a_job_is_deleted_after_its_pods_and_none_of_that_name_is_fine(server, launcher):
    server.script("DELETE", f"{JOBS}/{NAME}", web.json_response(job()), refusal(404), refusal(500))
    for _ in range(2):
        await launcher.delete(NAME)
    assert server.asked[0][2]["propagationPolicy"] == "Foreground"
    with pytest.raises(TransientError):
        await launcher.delete(NAME)


async def test_logs_are_those_of_all_pods_in_the_order_of_their_making(server, launcher):
    pods = [
        {"metadata": {"name": f"p{n}", "creationTimestamp": f"2026-01-01T00:00:0{n}Z"}, "status": {}} for n in (3, 1, 2)
    ]
    server.script("GET", PODS, page(*pods))
    server.script("GET", f"{PODS}/p1/log", web.Response(body=b"first\n"))
    server.script("GET", f"{PODS}/p2/log", refusal(400, "container is waiting to start"))
    server.script("GET", f"{PODS}/p3/log", web.Response(body=b"\xffthird\n"))
    assert await launcher.logs(NAME) == b"first\n\xffthird\n"


async def test_a_watch_starts_with_a_list_and_goes_on_behind_its_last_event(server, launcher):
    server.script("GET", JOBS, page(job(version="3"), version="5"))
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    server.script("WATCH", JOBS, [{"type": "MODIFIED", "object": job(queue_id="wf-b", version="6")}, bookmark], [None])
    watch = launcher.watch()
    assert [await anext(watch) for _ in range(2)] == ["wf-a", "wf-b"]
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(anext(watch))
        while server.watches() != ["5", "9"]:  # noqa: ASYNC110  # the server knows no better
            await asyncio.sleep(0.01)
        waiting.cancel()
    await watch.aclose()


@pytest.mark.parametrize(
    "forgotten",
    [
        refusal(410, "too old resource version"),
        [{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}],
    ],
)
async def test_a_watch_that_has_fallen_behind_lists_anew(server, launcher, forgotten):
    server.script("GET", JOBS, page(job(), version="5"), page(job(queue_id="wf-b"), version="50"))
    server.script("WATCH", JOBS, forgotten, [None])
    watch = launcher.watch()
    assert [await anext(watch) for _ in range(2)] == ["wf-a", "wf-b"]
    await watch.aclose()


@pytest.mark.parametrize("failure", [refusal(403), [{"type": "ERROR", "object": {"code": 500, "message": "no"}}]])
async def test_a_watch_that_fails_says_so(server, launcher, failure):
    server.script("GET", JOBS, page())
    server.script("WATCH", JOBS, failure)
    with pytest.raises(TransientError):
        await anext(launcher.watch())


async def test_a_server_that_falls_silent_is_given_up(server, launcher, monkeypatch):
    monkeypatch.setattr(launcher_module, "_WATCH_SILENCE_S", 0.2)
    server.script("GET", JOBS, page())
    server.script("WATCH", JOBS, [None])
    with pytest.raises(TransientError, match="away"):
        await anext(launcher.watch())


async def test_a_server_that_is_another_or_is_not_there_is_away(tmp_path, server, launcher):
    server.script("GET", JOBS, web.Response(body=b"<html>hello</html>"))
    with pytest.raises(TransientError, match="not an API server"):
        await launcher.ping()
    plan = KubernetesLauncherSettings(kubernetes_job_targets={}).plan(Settings())
    async with KubernetesLauncher(plan, kubeconfig_for(tmp_path, "http://127.0.0.1:1")) as lonely:
        with pytest.raises(TransientError, match="away"):
            await lonely.ping()


async def test_without_a_cluster_nothing_starts(tmp_path):
    plan = KubernetesLauncherSettings(kubernetes_job_targets={}).plan(Settings())
    for kubeconfig, told in ((None, "KUBECONFIG names none"), (str(tmp_path / "none"), "none")):
        with pytest.raises(FatalError, match=told):
            await KubernetesLauncher(plan, kubeconfig).__aenter__()
