"""Apache DevLake's end-to-end case for change lead time, with times of our own.

DevLake's pull requests PR1 to PR5 of two repositories: two that one deployment ships, one merged
after the deployment, one merged and never deployed, one open. docs/metrics-compared.md says where
we differ and why.
"""

import math

import pytest

from tests.metrics.http.github import GitHub
from tests.metrics.http.story import LEAD, Story, figure, stages

WINDOW = ("2026-03-02", "2026-03-16")


def pr1(own: GitHub) -> None:
    """A day of coding; the author's own comment is no review, the next person's is."""
    reviews = [
        ("Wed 05:02:10", "bob", "commented"),
        ("Wed 05:05:10", "cid", "commented"),
        ("Wed 05:08:10", "dan", "commented"),
    ]
    commits = [("pr1 a", "Tue 05:00:10"), ("pr1 b", "Wed 04:00:10")]
    own.pull(1, "Wed 05:00:10", "Wed 06:00:10", commits=commits, reviews=reviews)


def pr2(own: GitHub) -> None:
    """All commits known are younger than the pull request: it begins when it was opened."""
    own.pull(
        2,
        "Thu 05:00:10",
        "Thu 06:00:10",
        commits=[("pr2 a", "Thu 05:30:10")],
        reviews=[("Thu 05:00:12", "dan", "commented"), ("Thu 05:50:10", "eve", "commented")],
    )


def deployment(own: GitHub) -> None:
    own.deploy("Tue 05:01:10", commit="before", began="Tue 05:00:10")
    own.deploy("Fri 07:30:40", began="Fri 07:29:40", commit=own.merge_of(2), key="five")


def minutes(seconds: float) -> int:
    """DevLake counts whole minutes, rounded up."""
    return math.ceil(seconds / 60)


def told(*parts) -> Story:
    story = Story()
    for part in parts:
        part(GitHub(story, "acme/lake-one"))
    return story


def test_pr1_and_pr2_agree_and_pr3_to_pr5_are_not_shipped(receiver) -> None:
    story = told(pr1, pr2, deployment)
    one, two = GitHub(story, "acme/lake-one"), GitHub(story, "acme/lake-two")
    # PR3 was merged after the deployment that DevLake's table of commits says holds it.
    reviews = [("Tue 07:00:00", "gus", "commented")]
    commits = [("pr3 a", "2026-02-28 05:00:00")]
    two.pull(3, "Wed 07:00:00", "Sat 07:00:00", commits=commits, reviews=reviews)
    two.deploy("Fri 07:30:34", commit="two", key="six")
    # PR4 reached staging only, PR5 was never merged.
    one.pull(4, "Fri 08:00:00", "Fri 09:00:00", commits=[("pr4 a", "2026-02-26 05:00:00")])
    one.deploy("Fri 09:30:00", environment="staging", commit=one.merge_of(4))
    one.pull(5, "Fri 08:00:00", commits=[("pr5 a", "2026-02-25 05:00:00")])
    # A later deployment of the same commit adds nothing.
    one.deploy("Fri 09:40:00", commit=one.merge_of(2), key="nine")
    story.tell(receiver)
    found = figure(receiver, "acme/lake-one", LEAD, window=WINDOW)
    assert found["n"] == 2
    first, second = 3 * 1440 + 151, 1440 + 151
    assert minutes(found["p90"]) == first
    assert minutes(found["value"]) == minutes((first + second - 1) * 60 / 2)
    assert figure(receiver, "acme/lake-two", LEAD, window=WINDOW)["n"] == 0


@pytest.mark.parametrize(
    ("pull", "coding", "pickup", "review", "total"),
    [(pr1, 1440, 5, 55, 3 * 1440 + 151), (pr2, 0, 1, 60, 1440 + 151)],
    ids=["pr1", "pr2"],
)
def test_the_stages_agree(configured, pull, coding, pickup, review, total) -> None:
    server = configured("")
    told(pull).tell(server)
    own = Story()
    one = GitHub(own, "acme/lake-one")
    merge = one.merge_of(1 if pull is pr1 else 2)
    one.deploy("Fri 07:30:40", began="Fri 07:29:40", commit=merge)
    own.tell(server)
    found = stages(server)

    def length(*names: str) -> int:
        return minutes(sum(found[name]["p50"] or 0 for name in names))

    assert (length("coding"), length("pickup"), length("review")) == (coding, pickup, review)
    # DevLake's deploy time is everything between the merge and the end of the deployment.
    assert length(*found) == total
