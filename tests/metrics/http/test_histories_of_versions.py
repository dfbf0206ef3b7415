"""Versions in the spellings of several tools, and which of two is the older one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.metrics.http.clock import before, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import Jenkins, Plyzen, Script, alertmanager
from tests.metrics.http.presets import cdevent, octopus
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def v_prefix(story: Story) -> Wanted:
    sc = Script(story, "vp1")
    sc.deploy("09:00", version="v1.3.0")
    sc.deploy("10:00", version="v1.4.0")
    alertmanager(story, "vp1", "10:10", "10:30", version="1.3.0")
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def v_prefix_last(story: Story) -> Wanted:
    sc = Script(story, "vp2")
    sc.deploy("10:00", version="1.4.0")
    alertmanager(story, "vp2", "10:10", "10:30", version="v1.4.0")
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def v_prefix_test(story: Story) -> Wanted:
    sc = Script(story, "vp3")
    sc.deploy("10:00", version="v1.4.0")
    sc.span("test", "10:05", "10:10", False, version="1.4.0", name="smoke")
    sc.span("test", "10:15", "10:20", True, version="1.4.0", name="smoke")
    return {"fail": (1, 1), "recovery": (10.0, 1)}


def commit_label_full_vs_version_short(story: Story) -> Wanted:
    """The deploy's version is a short commit; the alert's label is the full one."""
    sc = Script(story, "sho1")
    sc.deploy("09:00", version=sha("s1")[:8])
    sc.deploy("10:00", version=sha("s2")[:8])
    alertmanager(story, "sho1", "10:10", "10:30", commit=sha("s1"))
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def version_label_is_short_commit(story: Story) -> Wanted:
    """The alert's version label is a short commit of a deploy that names the commit."""
    sc = Script(story, "sho2")
    sc.deploy("09:00", commit=sha("s3"))
    sc.deploy("10:00", commit=sha("s4"))
    alertmanager(story, "sho2", "10:10", "10:30", version=sha("s3")[:7])
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def image_tag(story: Story) -> Wanted:
    """The alert's label is a whole image."""
    sc = Script(story, "img1")
    sc.deploy("09:00", version="1.0")
    sc.deploy("10:00", version="1.1")
    alertmanager(story, "img1", "10:10", "10:30", image_tag="1.0")
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def rollback_by_short(story: Story) -> Wanted:
    """Rollback to a commit, told short where it was long."""
    own, sc = GitHub(story, "acme/rbs1"), Script(story, "acme/rbs1", service="rbs1")
    for c, t in (("rb1", "08:00"), ("rb2", "09:00")):
        own.push((c, t))
    sc.deploy("08:30", commit=sha("rb1"))
    sc.deploy("09:30", commit=sha("rb2"))
    sc.deploy("10:00", began="09:58", commit=sha("rb1")[:8])
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (2.0, 1), "lead": (0.5, 2)}


def rollback_short_no_push(story: Story) -> Wanted:
    sc = Script(story, "rbs2")
    sc.deploy("08:30", version=sha("rc1"))
    sc.deploy("09:30", version=sha("rc2"))
    sc.deploy("10:00", began="09:58", version=sha("rc1")[:8])
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (2.0, 1)}


def v_prefix_rollback(story: Story) -> Wanted:
    sc = Script(story, "vp4")
    sc.deploy("08:30", version="v1.0-rc1")
    sc.deploy("09:30", version="v1.0-rc2")
    sc.deploy("10:00", began="09:58", version="1.0-rc1")
    return {"fail": (1, 3), "rework": (1, 3)}


def semver_pre(story: Story) -> Wanted:
    """1.0.0 after 1.0.0-rc.1 is newer; back to rc is a rollback; build metadata."""
    sc = Script(story, "smv1")
    sc.deploy("08:30", version="1.0.0-rc.1")
    sc.deploy("09:30", version="1.0.0")
    sc.deploy("10:00", began="09:58", version="1.0.1-beta")
    sc.deploy("10:30", began="10:28", version="1.0.0")
    return {"fail": (1, 4), "rework": (1, 4)}


def date_versions(story: Story) -> Wanted:
    sc = Script(story, "dat1")
    sc.deploy("08:30", version="2026-03-01.2")
    sc.deploy("09:30", version="2026-03-02.1")
    sc.deploy("10:00", version="2026-03-02.10")
    return {"fail": (0, 3), "rework": (0, 3)}


def older_never_seen(story: Story) -> Wanted:
    """An older semantic version that was never deployed here: a downgrade all the same."""
    sc = Script(story, "old1")
    sc.deploy("09:30", version="2.1.0")
    sc.deploy("10:00", began="09:58", version="2.0.9")
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (2.0, 1)}


def two_majors(story: Story) -> Wanted:
    """Two services of one project in other versions do not roll each other back."""
    for svc, v, t in (
        ("tm-api", "5", "09:00"),
        ("tm-web", "2", "09:10"),
        ("tm-api", "6", "10:00"),
        ("tm-web", "3", "10:10"),
    ):
        Script(story, "tm1", service=svc).deploy(t, version=v, key=svc + v)
    return {"fail": (0, 4), "rework": (0, 4)}


def build_numbers(story: Story) -> Wanted:
    """Versions are build numbers; 99 -> 100 is newer."""
    sc = Script(story, "bn1")
    for v, t in (("99", "09:00"), ("100", "10:00"), ("101", "11:00")):
        sc.deploy(t, version=v)
    return {"fail": (0, 3), "rework": (0, 3)}


def tenants(story: Story) -> Wanted:
    for n, t in enumerate(("A", "B")):
        octopus(
            story,
            "tnt1",
            (f"9{n}", "Started", "1.0.0", "10:00"),
            (f"9{n}", "Succeeded", "1.0.0", "10:05"),
        )
        for p in story.posts[-2:]:
            p.body["Payload"]["Event"]["Message"] += f" for Tenant {t}"
    return {"fail": (0, 1), "project": f"Projects-{number('tnt1')}"}


def cde_test(story: Story) -> Wanted:
    env = {"id": "production"}
    cdevent(
        story,
        "service.deployed",
        "cdt1",
        "10:00",
        environment=env,
        artifactId="pkg:oci/cdt1@1.0",
        source="/cdt1",
    )
    for k, t, o in (("t1", "10:05", "failure"), ("t2", "10:15", "success")):
        cdevent(
            story,
            "testsuiterun.started",
            k,
            before(t, 2),
            environment=env,
            testSuite={"id": "smoke", "name": "smoke"},
            source="/cdt1",
        )
        cdevent(
            story,
            "testsuiterun.finished",
            k,
            t,
            environment=env,
            outcome=o,
            testSuite={"id": "smoke", "name": "smoke"},
            source="/cdt1",
        )
        for p in story.posts[-2:]:
            p.body["context"]["links"] = [
                {"linkType": "PATH", "from": {"contextId": "service.deployed-cdt1-10:00"}}
            ]
    return {"fail": (1, 1), "recovery": (10.0, 1), "project": "cdt1"}


def skew_lead(story: Story) -> Wanted:
    own, j = GitHub(story, "acme/skl1"), Jenkins(story, "acme/skl1")
    own.pull(1, "10:00", "10:02", pushed=True)
    j.deploy("10:01", began="10:00", commit=own.merge_of(1))
    own.pull(2, "11:00", "11:02", pushed=True)
    j.deploy("10:59", began="10:58", commit=own.merge_of(2))
    return {"lead": (0.0083, 2), "fail": (0, 2), "rework": (0, 2)}


def instances(story: Story) -> Wanted:
    """Two instances of production get one version at the same time."""
    p = Plyzen(story, "ins1", "cart")
    p.deploy("10:05", began="10:00", version="1", instance="blue")
    p.deploy("10:06", began="10:01", version="1", instance="green")
    return {"fail": (0, 1)}


DIGESTS = {version: f"sha256:{sha(version)}{'a' * 24}" for version in ("1.4.0", "1.5.0")}


def spelt(deployed: str, told: str) -> Callable[[Story], Wanted]:
    """An alert of 1.4.0 after 1.5.0 was deployed. In the spellings `{v}` is the version, `{d}` the
    digest of its image and `{s}` the service."""

    def tell(story: Story) -> Wanted:
        service = f"spelt{number(deployed + told)}"
        own = Script(story, service)
        for hour, version in ((9, "1.4.0"), (10, "1.5.0")):
            own.deploy(
                f"{hour:02}:00", version=deployed.format(v=version, d=DIGESTS[version], s=service)
            )
        label = told.format(v="1.4.0", d=DIGESTS["1.4.0"], s=service)
        alertmanager(story, service, "10:10", "10:30", version=label)
        return {"project": service, "fail": (1, 2), "recovery": (20.0, 1), "rework": (0, 2)}

    return tell


IMAGE = "ghcr.io/acme/{s}:{v}"
SPELLINGS = {
    "digest": ("ghcr.io/acme/{s}@{d}", "{d}"),
    "image": (IMAGE, "{v}"),
    "label": ("v{v}", "registry:5000/acme/{s}:{v}"),
    "pinned": ("ghcr.io/acme/{s}:{v}@{d}", "{v}"),
    "release": ("{v}", "{s}@{v}"),
    "tag": ("refs/tags/v{v}", "{v}"),
    "monorepo": ("{s}/v{v}", "{v}"),
    "chart": ("{s}-{v}", "{v}"),
    "build": ("{v}", "{v}+1a2b3c4"),
}


def image_in_two_tools(story: Story) -> Wanted:
    """A script names the image, the pipeline in which it runs the tag."""
    own = Script(story, "img2")
    for hour, version in ((9, "1.9.0"), (10, "1.10.0"), (11, "1.9.1")):
        own.deploy(f"{hour:02}:10", began=f"{hour:02}:00", version=version)
        image = f"ghcr.io/acme/img2:{version}"
        own.deploy(f"{hour:02}:08", began=f"{hour:02}:02", version=image, key=f"{hour}")
    return {"fail": (1, 3), "rework": (1, 3), "successes": 3}


def builds_of_one_version(story: Story) -> Wanted:
    """What a build adds to its version tells two of them apart."""
    own = Script(story, "bld1")
    for hour, version in ((9, "1.4.0+a"), (10, "1.4.0+b")):
        own.deploy(f"{hour:02}:00", version=version)
    alertmanager(story, "bld1", "10:10", "10:30", version="1.4.0+a")
    alertmanager(story, "bld1", "10:40", "10:50", version="1.4.0+b")
    return {"fail": (2, 2), "recovery": (15.0, 2)}


HISTORIES = {
    **{f"spelt {name}": spelt(*each) for name, each in SPELLINGS.items()},
    "img2": image_in_two_tools,
    "bld1": builds_of_one_version,
    "vp1": v_prefix,
    "vp2": v_prefix_last,
    "vp3": v_prefix_test,
    "sho1": commit_label_full_vs_version_short,
    "sho2": version_label_is_short_commit,
    "img1": image_tag,
    "acme/rbs1": rollback_by_short,
    "rbs2": rollback_short_no_push,
    "vp4": v_prefix_rollback,
    "smv1": semver_pre,
    "dat1": date_versions,
    "old1": older_never_seen,
    "tm1": two_majors,
    "bn1": build_numbers,
    "tnt1": tenants,
    "cdt1": cde_test,
    "acme/skl1": skew_lead,
    "ins1": instances,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_version_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(""), HISTORIES) == {}
