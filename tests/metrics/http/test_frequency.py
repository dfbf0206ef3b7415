"""Deployment frequency and its levels: examples F1 to F4, C1, C2 and C3 of the second edition."""

import pytest

from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import EmMetrics, Jenkins, Plyzen, Script
from tests.metrics.http.story import FREQUENCY, Story, figure

TOOLS = [GitHub, GitLab, Plyzen, Script, Jenkins]
LEVEL = "2024"


@pytest.mark.parametrize("tool", TOOLS)
def test_f1_counts_successes_in_production(receiver, tool) -> None:
    story = Story()
    own = tool(story, f"acme/f1-{tool.__name__.lower()}")
    own.deploy("Tue 10:00", version="1")
    own.deploy("Tue 12:00", version="2")
    own.deploy("Wed 10:00", environment="staging", version="3")
    own.deploy("Thu 10:00", version="4")
    own.deploy("Fri 10:00", ok=False, version="5")
    # A delivery before the window, so that every day of it counts.
    own.deploy("2026-02-20 10:00", environment="staging", version="0")
    story.tell(receiver)
    found = figure(receiver, own.name, FREQUENCY)
    assert (round(found["value"], 4), found["n"]) == (0.4286, 3)
    assert (found["working_days_with_deployment"], found["working_days"]) == (2, 5)
    assert found["text"] == "3/week"


@pytest.mark.parametrize(
    ("zone", "day", "next_day"),
    [("America/Bogota", "2026-03-08", "2026-03-09"), ("Africa/Lagos", "2026-03-09", "2026-03-10")],
)
@pytest.mark.parametrize("tool", [GitHub, Script])
def test_f2_a_day_is_one_of_the_asked_zone(receiver, tool, zone, day, next_day) -> None:
    story = Story()
    own = tool(story, f"acme/f2-{tool.__name__.lower()}-{day[-1]}")
    own.deploy("2026-03-08T23:30:00Z")
    story.tell(receiver)
    assert figure(receiver, own.name, FREQUENCY, window=(day, next_day), tz=zone)["n"] == 1
    others = {"2026-03-08", "2026-03-09"} - {day}
    for other in others:
        after = {"2026-03-08": "2026-03-09", "2026-03-09": "2026-03-10"}[other]
        assert figure(receiver, own.name, FREQUENCY, window=(other, after), tz=zone)["n"] == 0


def test_f3_an_empty_window_has_a_count_of_zero_and_no_other_value(receiver) -> None:
    story = Story()
    own = GitHub(story, "acme/f3")
    own.deploy("2026-02-26 10:00", commit="f3")
    story.tell(receiver)
    found = figure(receiver, own.name, FREQUENCY)
    assert (found["value"], found["n"], found["text"]) == (0, 0, "0/day")


def test_days_before_the_first_delivery_do_not_count_in_the_period_before(receiver) -> None:
    """Known since 14 February: 4 in 16 days of the 20 before the window, then 5 in 20."""
    story = Story()
    own = Script(story, "acme/before")
    for n, day in enumerate((14, 18, 22, 26)):
        own.deploy(f"2026-02-{day} 10:00", version=f"1.{n}")
    for n, day in enumerate((3, 7, 11, 15, 19)):
        own.deploy(f"2026-03-{day:02} 10:00", version=f"2.{n}")
    story.tell(receiver)
    found = figure(receiver, own.name, FREQUENCY, window=("2026-03-02", "2026-03-22"))
    assert (found["value"], found["before"], found["change"]) == (0.25, 0.25, "0%")


def test_who_had_not_deployed_yet_had_no_frequency_before(configured) -> None:
    server = configured('[teams.new]\nprojects = ["acme/new"]\n[teams.none]\nprojects = ["acme/o"]')
    story = Story()
    for project in ("acme/new", "acme/o"):
        GitHub(story, project).pull(1, "2026-02-01 10:00", "2026-02-02 10:00")
    Script(story, "acme/new").deploy("Tue 10:00", version="1")
    story.tell(server)
    found = figure(server, "new", FREQUENCY, by="team")
    assert (found["n"], found["before"], found["change"]) == (1, None, None)
    assert figure(server, "none", FREQUENCY, by="team")["before"] is None


@pytest.mark.parametrize(
    ("end", "window"),
    [
        ("2026-03-09T03:59:00Z", ("2026-03-08", "2026-03-09")),
        ("2026-03-09T04:00:00Z", ("2026-03-09", "2026-03-10")),
    ],
)
def test_f4_a_day_of_23_hours_is_one_day(receiver, end, window) -> None:
    story = Story()
    own = GitLab(story, f"acme/f4-{end[14:16]}")
    own.deploy("2026-02-26 10:00")
    own.deploy(end)
    story.tell(receiver)
    zone = "America/New_York"
    found = figure(receiver, own.name, FREQUENCY, window=window, tz=zone)
    assert (found["value"], found["n"]) == (pytest.approx(1), 1)


@pytest.mark.parametrize("tool", [GitHub, EmMetrics, Plyzen])
@pytest.mark.parametrize("since", ["2026-03-07", "2026-03-01", "2026-02-06", "2025-12-08"])
def test_c1_days_before_the_first_delivery_do_not_count(receiver, tool, since) -> None:
    """Two deployments a day, in the only three days there is data for."""
    story = Story()
    own = tool(story, f"acme/c1-days-{tool.__name__.lower()}-{since}")
    for day in ("Thu", "Fri", "Sat"):
        own.deploy(f"{day} 09:00", began=f"{day} 08:59")
        own.deploy(f"{day} 15:00", began=f"{day} 14:59")
    story.tell(receiver)
    found = figure(receiver, own.name, FREQUENCY, window=(since, "2026-03-08"))
    assert found["value"] == pytest.approx(2)
    assert found["text"] == "2/day"


@pytest.mark.parametrize("by", ["project", "all"])
def test_c1_the_answer_says_since_when_there_is_data(configured, by) -> None:
    story = Story()
    own = Script(story, "acme/c1-since")
    own.deploy("Thu 09:00")
    story.tell(server := configured(""))
    status, answer = server.call(f"/api/dora?by={by}&since=2026-02-06&until=2026-03-08&tz=UTC")
    assert status == 200
    (item,) = answer["items"]
    assert item["data_since"].startswith("2026-03-05")


LEVELS = {
    # name: (windows, deployments, level)
    "monthly-40-services": (
        ("2026-03-02", "2026-03-31"),
        [(f"2026-03-18 10:{n:02}", f"s{n}") for n in range(40)],
        "medium",
    ),
    "monthly-each-month": (
        ("2025-03-01", "2026-03-01"),
        [(f"{2025 + (m > 12)}-{(m - 1) % 12 + 1:02}-15 10:00", "") for m in range(3, 15)],
        "medium",
    ),
    "weekly": (
        ("2026-03-02", "2026-03-30"),
        [(f"2026-03-{day:02} 10:00", "") for day in (4, 11, 18, 25)],
        "high",
    ),
    "three-days-a-week": (
        ("2026-03-02", "2026-03-30"),
        [(f"2026-03-{7 * week + day:02} 10:00", "") for week in range(4) for day in (2, 4, 6)],
        "elite",
    ),
    "two-days-a-week": (
        ("2026-03-02", "2026-03-30"),
        [
            (f"2026-03-{7 * week + day:02} {hour}:00", "")
            for week in range(4)
            for day in (3, 5)
            for hour in (10, 12, 14)
        ],
        "high",
    ),
    "twice-a-year": (
        ("2025-03-01", "2026-03-01"),
        [("2025-06-15 10:00", ""), ("2025-11-15 10:00", "")],
        "low",
    ),
}


@pytest.mark.parametrize("tool", [GitHub, Script])
@pytest.mark.parametrize("name", LEVELS)
def test_c2_c3_frequency_levels_follow_days_with_a_deployment(receiver, tool, name) -> None:
    window, deployments, level = LEVELS[name]
    story = Story()
    own = tool(story, f"acme/level-{name}-{tool.__name__.lower()}")
    own.deploy("2025-02-02 10:00", environment="staging", key="before")
    for n, (end, service) in enumerate(deployments):
        more = {"service": service} if service else {}
        own.deploy(end, key=f"d{n}", **more)
    story.tell(receiver)
    found = figure(receiver, own.name, FREQUENCY, window=window)
    assert found["n"] == len(deployments)
    assert found["levels"][LEVEL] == level


@pytest.mark.parametrize("hours", [1, 6, 24])
def test_less_than_a_day_counts_as_a_day(receiver, hours) -> None:
    story = Story()
    own = Script(story, f"acme/short-{hours}")
    own.deploy("2026-03-02 10:00", key="before")
    own.deploy("2026-03-04 11:40", key="one")
    story.tell(receiver)
    end = f"2026-03-0{4 + hours // 24}T{(11 + hours) % 24:02}:30:00Z"
    found = figure(receiver, own.name, FREQUENCY, window=("2026-03-04T11:30:00Z", end))
    assert (found["n"], found["value"], found["text"]) == (1, 1.0, "1/day")
