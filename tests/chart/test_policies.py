"""Tools that know what a cluster ought to forbid find nothing wrong with what is rendered and with the jobs made then.

What they are not asked about has its reason. A cluster that enforces NetworkPolicies is not at hand: that each pod is
selected by some is what both tools see, who may talk to whom test_agreement.py.
"""

import pytest

from tests import programs
from tests.chart.conftest import CHART, template, with_jobs

SERVICES = CHART.parents[2] / "services"


def scored(manifests):
    not_asked = [
        # A tag is never given twice; who reuses one says `Always`.
        "container-image-pull-policy",
        # Pods write to /tmp alone, which has a limit of its own.
        "container-ephemeral-storage-request-and-limit",
    ]
    asked = ["--ignore-test", ",".join(not_asked), "--enable-optional-test", "container-seccomp-profile"]
    # A limit of the CPU would only slow a pod down where there is CPU to spare.
    asked += ["--ignore-container-cpu-limit", "--kubernetes-version", "v1.34", "--output-format", "ci"]
    return programs.run("kube-score", "score", *asked, "-", given=manifests)


@pytest.mark.parametrize("values", ["minimal", "full"])
def test_kube_score_finds_nothing_critical(render, values):
    found = scored(with_jobs(render(values)))

    assert found.returncode == 0, "\n".join(line for line in found.stdout.splitlines() if "CRITICAL" in line)
    assert "[OK] loader-producer-a-1 batch/v1/Job" in found.stdout


def test_kube_score_would_see_a_pod_without_a_network_policy():
    found = scored(with_jobs(template("minimal", "--set", "networkPolicy.enabled=false").stdout))

    critical = [line for line in found.stdout.splitlines() if "CRITICAL" in line]
    assert all("NetworkPolicy" in line for line in critical)
    assert {line.split()[1] for line in critical} >= {"streamforge-queue-manager", "loader-producer-a-1"}


def test_checkov_finds_nothing_in_the_chart_and_the_images(render, tmp_path):
    not_asked = [
        "CKV_K8S_21",  # the namespace is Helm's to say
        "CKV_K8S_11",  # as above: no limit of the CPU
        "CKV_K8S_43",  # an image's digest is known to who has pushed it
        "CKV_K8S_38",  # queue-manager makes Jobs, for which it needs its token
        "CKV_K8S_35",  # settings are variables, secret ones too
        "CKV_K8S_8",  # nobody would restart the pod of `helm test`, and a job whose broker is away is alive
        "CKV_K8S_9",  # nobody calls the pod of `helm test`
        "CKV_DOCKER_7",  # the base image has a tag, by a variable
    ]
    (tmp_path / "chart.yaml").write_text(with_jobs(render("full")))
    asked = ["--framework", "kubernetes", "dockerfile", "--skip-check", ",".join(not_asked), "--skip-download"]
    folders = ("--directory", tmp_path, "--directory", SERVICES)
    found = programs.run("checkov", *folders, *asked, "--compact")

    assert found.returncode == 0, found.stdout + found.stderr
    assert "dockerfile scan results" in found.stdout
    assert "kubernetes scan results" in found.stdout
