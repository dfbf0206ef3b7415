"""Histories of ids that are used again for another version or place, of regions whose tool tells no
version, and of names that only look like production."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.metrics.http.ci import Circle, Otlp
from tests.metrics.http.clock import at, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import Plyzen, Script, alertmanager
from tests.metrics.http.presets import codedeploy, codepipeline, datadog, heroku, octopus
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_builds import drone_told
from tests.metrics.http.tools import Azure

Tell = Callable[[Story, str], Wanted]


# -- a custom id that is used again ------------------------------------------------------------


def went_back(story: Story, name: str) -> Wanted:
    """One id for each run of the job: version 1, 2, and 1 again, which is a rollback."""
    own = Script(story, name)
    for version, began, end in (("1", "10:00", "10:05"), ("2", "12:00", "12:05")):
        own.deploy(end, began=began, version=version, key="prod")
    own.deploy("13:10", began="13:00", version="1", key="prod")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (10.0, 1), "successes": 3}


def again_at_once(story: Story, name: str) -> Wanted:
    """A loop that tries until it works: each try begins in the second of the last one's end."""
    own = Script(story, name)
    for began, end, ok in (
        ("10:00", "10:05", False),
        ("10:05", "10:10", False),
        ("10:10", "10:15", True),
    ):
        own.deploy(end, ok, began=began, version="1", key="try")
    return {"fail": (2, 3), "recovery": (7.5, 2), "rework": (0, 3), "successes": 1}


def alarm_of_an_earlier_run(story: Story, name: str) -> Wanted:
    """The ends name nothing, as vscli's do; the alarm names the version of the second run."""
    for version, began, end, ok in (
        ("1", "10:00", "10:05", False),
        ("2", "10:30", "10:35", True),
        ("3", "11:30", "11:35", True),
    ):
        told = {"type": "deploy", "id": "go", "namespace": name}
        tags = [f"service|{name}", "environment|production", f"version|{version}"]
        begun = told | {"action": "start", "timestamp": at(began), "tags": tags}
        story.add("/customhttp", begun)
        done = {"action": "end", "timestamp": at(end), "error": not ok, "Metadata": None}
        story.add("/customhttp", told | done)
    alertmanager(story, name, "11:40", "11:50", version="2")
    return {"fail": (2, 3), "recovery": (20.0, 2), "rework": (0, 3), "successes": 2}


def each_ships_its_commit(story: Story, name: str) -> Wanted:
    """Pushes at 8 and at 11, deployed at 10 and at 12: 2 h and 1 h."""
    GitHub(story, f"acme/{name}").push((f"{name} 1", "08:00"))
    GitHub(story, f"acme/{name}").push((f"{name} 2", "11:00"))
    own = Script(story, f"acme/{name}", name)
    for began, end, commit in (("09:59", "10:00", "1"), ("11:59", "12:00", "2")):
        about = {"commit": sha(f"{name} {commit}"), "repository": f"acme/{name}"}
        own.span("deploy", began, end, key="ship", **about)
    return {"project": f"acme/{name}", "lead": (1.5, 2), "unknown": 0, "successes": 2}


def first_to_staging(story: Story, name: str) -> Wanted:
    """The id is the release, which goes to staging first."""
    own = Script(story, name)
    own.deploy("10:05", began="10:00", version="1", key="rel-1", environment="staging")
    own.deploy("12:05", began="12:00", version="1", key="rel-1")
    alertmanager(story, name, "11:00", "11:10")
    return {"fail": (0, 1), "successes": 1}


def suite_of_each_version(story: Story, name: str) -> Wanted:
    """One id for the smoke test: it fails for version 1 and passes for version 2."""
    own = Script(story, name)
    own.deploy("09:00", version="1")
    own.span("test", "09:05", "09:10", False, key="smoke", version="1")
    own.deploy("10:00", version="2")
    own.span("test", "10:05", "10:10", key="smoke", version="2")
    return {"fail": (1, 2), "recovery": (60.0, 1), "rework": (1, 2)}


def suite_of_staging(story: Story, name: str) -> Wanted:
    """It fails in staging before the deployment, and passes in production after it."""
    own = Script(story, name)
    own.deploy("10:00", version="1")
    own.span("test", "09:30", "10:05", False, key="smoke", environment="staging")
    own.span("test", "10:10", "10:20", key="smoke")
    return {"fail": (0, 1)}


def outages_of_two_versions(story: Story, name: str) -> Wanted:
    """One id for the alarm, which names version 1 and then version 2 while 3 is live."""
    own = Script(story, name)
    for hour, version in ((11, "1.0"), (12, "2.0"), (13, "3.0")):
        own.deploy(f"{hour}:00", version=version)
    own.span("incident", "14:00", "14:10", key="down", version="1.0")
    own.span("incident", "15:00", "15:30", key="down", version="2.0")
    return {"fail": (2, 3), "recovery": (20.0, 2)}


def correlation_of_a_run(story: Story, name: str) -> Wanted:
    """plyzen: a run of a pipeline deploys to two environments under one correlation id."""
    own = Plyzen(story, name)
    same = {"version": "1", "correlationId": f"{name} run"}
    own.activity("deploy", "10:00", "10:05", environment="staging", **same)
    own.activity("deploy", "10:30", "10:35", **same)
    own.activity("alarm", "10:40", "10:50", **same)
    return {"fail": (1, 1), "recovery": (10.0, 1), "successes": 1}


# -- regions -----------------------------------------------------------------------------------


def regions_at_once(story: Story, name: str) -> Wanted:
    """CodeDeploy tells neither version nor run: regions that overlap are one deployment."""
    for day, last in (("Mon", "SUCCESS"), ("Tue", "FAILURE")):
        began, later = ("START", f"{day} 10:00"), ("START", f"{day} 10:05")
        codedeploy(story, name, f"d-{name}{day}1", began, ("SUCCESS", f"{day} 10:10"))
        end = (last, f"{day} 10:20")
        codedeploy(story, name, f"d-{name}{day}2", later, end, region="us-east-1")
    return {"fail": (1, 2), "successes": 1}


def regions_apart(story: Story, name: str) -> Wanted:
    """One after the other nothing tells that they are one; in one region there are always two."""
    for minute, region in ((0, "eu-west-1"), (20, "us-east-1"), (40, "us-east-1")):
        told = ("START", f"10:{minute:02}"), ("SUCCESS", f"10:{minute + 10}")
        codedeploy(story, name, f"d-{name}{minute}", *told, region=region)
    return {"fail": (0, 3), "successes": 3}


def stages_of_a_run(story: Story, name: str) -> Wanted:
    """Azure: two production stages of a run, whose own events are not sent."""
    own = Azure(story, f"p-{name}", name)
    own.push((f"{name} c", "08:00"))
    for run, minute, ok in ((1, 0, False), (2, 30, True)):
        eu, us = f"10:{minute:02}", f"10:{minute + 6:02}"
        own.stage(run, "DeployProdEU", eu, f"10:{minute + 5:02}", commit=f"{name} c")
        own.stage(run, "DeployProdUS", us, f"10:{minute + 10}", ok, commit=f"{name} c")
    by_service = {"by": "service", "project": name}
    return by_service | {"fail": (1, 2), "rework": (0, 2), "recovery": (30.0, 1), "successes": 1}


# -- names -------------------------------------------------------------------------------------


def groups_that_are_not_production(story: Story, name: str) -> Wanted:
    groups = ("CartProd", "cart-pre-production", "Non-Production", "CartPreProd", "NonProd")
    for hour, group in enumerate((*groups, "ProductCatalog", "cart-not-prod"), 10):
        told = ("START", f"{hour}:00"), ("SUCCESS", f"{hour}:10")
        codedeploy(story, name, f"d-{name}{hour}", *told, group=group)
    return {"fail": (0, 1), "successes": 1}


def stages_in_humps(story: Story, name: str) -> Wanted:
    for hour, stage in enumerate(("ProdStage", "PreProdStage", "BetaStage", "DeployToProd"), 10):
        told = ("STARTED", f"{hour}:00"), ("SUCCEEDED", f"{hour}:05")
        codepipeline(story, name, f"{name}{hour}", *told, stage=stage)
    return {"fail": (0, 2), "successes": 2}


def jobs_that_are_not_production(story: Story, name: str) -> Wanted:
    own = Circle(story, f"acme/{name}")
    for hour, job in enumerate(("pre-production", "to-non-production", "production"), 10):
        own.job(hour, f"{hour}:00", f"{hour}:05", commit=f"{name} c", name=f"deploy-{job}")
    return {"project": f"acme/{name}", "fail": (0, 1), "successes": 1}


def app_of_pre_production(story: Story, name: str) -> Wanted:
    """Heroku: the app says it; another one is production."""
    heroku(story, f"{name}-pre-production", (1, "10:00", "10:01", "succeeded", "Deploy abc"))
    heroku(story, name, (1, "11:00", "11:01", "succeeded", "Deploy abc"))
    octopus(story, name, ("1", "Succeeded", "1", "12:00"), place="Pre-Production")
    return {"by": "service", "fail": (0, 1), "successes": 1}


def commits_of_digits(story: Story, name: str) -> Wanted:
    """Short commits that happen to have no letter are no numbers."""
    own = Script(story, name)
    for hour, version in ((10, "4826153"), (11, "1826153"), (12, "0826153")):
        own.deploy(f"{hour}:00", version=version, commit=f"{version}{sha(name)[7:]}")
    return {"fail": (0, 3), "rework": (0, 3), "successes": 3}


def branch_of_a_promotion(story: Story, name: str) -> Wanted:
    """Drone promotes a build of a hotfix branch."""
    drone_told(story, name, 1, "success", "10:00", "10:05")
    about = {"after": sha(f"{name} c2"), "source": "hotfix/login", "target": "hotfix/login"}
    drone_told(story, name, 2, "success", "11:00", "11:05", **about)
    return {"project": f"acme/{name}", "fail": (0, 2), "rework": (1, 2)}


def alert_of_a_release(host: type[GitHub] | type[GitLab]) -> Tell:
    """Hosts name the tag that is deployed; the alert names the release before the last one."""

    def tell(story: Story, name: str) -> Wanted:
        own = host(story, f"acme/{name}")
        for hour, tag in ((10, "v1.9.0"), (11, "v1.10.0"), (12, "v1.11.0")):
            own.deploy(f"{hour}:05", began=f"{hour}:00", version=tag)
        alertmanager(story, name, "12:10", "12:30", version="1.10.0")
        alertmanager(story, name, "12:20", "12:40", version="v1.11.0")
        return {"project": f"acme/{name}", "fail": (2, 3), "rework": (0, 3), "recovery": (20.0, 2)}

    return tell


def staged_by_a_script(host: type[GitHub | GitLab]) -> Tell:
    """A script brings each release to staging, the host to production: the alert of production is
    about the latter."""

    def tell(story: Story, name: str) -> Wanted:
        own, script = host(story, f"acme/{name}"), Script(story, name)
        for hour, tag in ((10, "v1.9.0"), (11, "v1.10.0"), (12, "v1.11.0")):
            script.deploy(f"{hour}:02", environment="staging", version=tag)
            own.deploy(f"{hour}:05", began=f"{hour}:03", version=tag)
        script.deploy("12:30", environment="staging", version="v1.10.0")
        alertmanager(story, name, "12:40", "13:00", version="v1.10.0")
        return {"project": f"acme/{name}", "fail": (1, 3), "rework": (0, 3), "recovery": (20.0, 1)}

    return tell


# -- one deployment, told twice -----------------------------------------------------------------


def sent_again_by_a_retry(story: Story, name: str) -> Wanted:
    """DevLake's API: the retried pipeline has the id of the first attempt."""
    commit = {"repoUrl": f"https://github.com/acme/{name}", "commitSha": sha(name)}
    body = {"id": name, "startedDate": at("10:00"), "environment": "PRODUCTION"}
    for result, end in (("FAILURE", "10:05"), ("SUCCESS", "10:20")):
        told = {"result": result, "finishedDate": at(end), "deploymentCommits": [commit]}
        story.add("/api/rest/plugins/webhook/1/deployments", body | told)
    return {"project": f"acme/{name}", "fail": (0, 1), "successes": 1}


def beside_a_host(story: Story, name: str) -> Wanted:
    """A script and a span that name no version, within the deployments of GitHub."""
    own, spans = GitHub(story, f"acme/{name}"), Otlp(story, f"acme/{name}")
    script = Script(story, f"acme/{name}", name)
    for hour, ok in ((10, False), (11, True), (12, True)):
        own.push((f"{name} {hour}", f"{hour - 2}:00"))
        own.deploy(f"{hour}:06", ok, began=f"{hour}:00", commit=f"{name} {hour}")
        script.span("deploy", f"{hour}:01", f"{hour}:05", ok)
        spans.deploy(f"{hour}:07", ok, began=f"{hour}:02")
    wanted: Wanted = {"fail": (1, 3), "rework": (0, 3), "successes": 2, "lead": (2.1167, 3)}
    return wanted | {"project": f"acme/{name}", "recovery": (60.0, 1)}


def monitor_without_a_cycle(story: Story, name: str) -> Wanted:
    """A template that leaves the cycle key out: one id for all alerts of the monitor."""
    own = Script(story, name)
    own.deploy("10:00", version="1")
    own.deploy("12:00", version="2")
    told = ("Triggered", "10:10"), ("Recovered", "10:20"), ("Triggered", "12:10")
    datadog(story, name, "", *told, ("Recovered", "12:40"))
    return {"fail": (2, 2), "recovery": (20.0, 2)}


def tags_of_a_monorepo(story: Story, name: str) -> Wanted:
    """1.9.1 was never deployed before, but is older than 1.10.0; another name is not compared."""
    own = Script(story, name)
    tags = ("cart/v1.9.0", "cart/v1.10.0", "cart/v1.9.1", "cart/v1.11.0", "cart-1.2.0")
    for hour, version in enumerate(tags, 10):
        own.deploy(f"{hour}:00", version=version)
    return {"fail": (1, 5), "rework": (1, 5), "successes": 5}


def pushed_beside_the_merge(seconds: int) -> Tell:
    """GitHub tells the push of a merge with another time than the merge, mostly a second later."""

    def tell(story: Story, name: str) -> Wanted:
        own = GitHub(story, f"acme/{name}")
        for n, hour in ((1, 9), (2, 11), (3, 13)):
            merged, pushed = (
                f"2026-03-02T{hour:02}:30:30Z",
                f"2026-03-02T{hour:02}:30:{30 + seconds}Z",
            )
            own.pull(n, f"{hour:02}:00", merged, commits=((f"{name} {n}", f"{hour:02}:00"),))
            own.push((own.merge_of(n), merged), when=pushed)
            own.deploy(f"{hour + 1}:00", commit=own.merge_of(n))
        return {"project": f"acme/{name}", "lead": (1.0, 3), "unknown": 0, "successes": 3}

    return tell


HISTORIES: dict[str, Tell] = {
    "merge-later": pushed_beside_the_merge(1),
    "merge-earlier": pushed_beside_the_merge(-1),
    "again-back": went_back,
    "again-second": again_at_once,
    "again-alarm": alarm_of_an_earlier_run,
    "again-ships": each_ships_its_commit,
    "again-staging": first_to_staging,
    "again-suite": suite_of_each_version,
    "again-suite-staging": suite_of_staging,
    "again-outages": outages_of_two_versions,
    "again-plyzen": correlation_of_a_run,
    "regions-once": regions_at_once,
    "regions-apart": regions_apart,
    "regions-stages": stages_of_a_run,
    "staged-github": staged_by_a_script(GitHub),
    "staged-gitlab": staged_by_a_script(GitLab),
    "names-groups": groups_that_are_not_production,
    "names-humps": stages_in_humps,
    "names-jobs": jobs_that_are_not_production,
    "names-app": app_of_pre_production,
    "names-digits": commits_of_digits,
    "names-tags": tags_of_a_monorepo,
    "names-hotfix": branch_of_a_promotion,
    "names-github": alert_of_a_release(GitHub),
    "names-gitlab": alert_of_a_release(GitLab),
    "twice-devlake": sent_again_by_a_retry,
    "twice-host": beside_a_host,
    "twice-monitor": monitor_without_a_cycle,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_reused_name_has_the_values_computed_by_hand(configured, order) -> None:
    told = {name: lambda story, name=name: HISTORIES[name](story, name) for name in HISTORIES}
    server = configured("")
    assert told_in(order, server, told) == {}
    if order != "as sent":
        command(server, "db", "rebuild")
        assert told_in("none", server, told) == {}
