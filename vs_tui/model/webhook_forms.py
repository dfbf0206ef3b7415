"""What to enter in each tool's webhook form, for people who set it up by hand.

The pages in docs/sources have the long form; `vs-tui connect` and the dashboard's first page show
this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Form(NamedTuple):
    """The webhook form of a tool."""

    where: str
    """The menus that lead to the form."""
    events: str
    """The events to tick."""
    field: str = "secret"
    """The tool's name for the secret's field; empty if the URL carries the token."""
    content_type: str = "application/json"


GITHUB_EVENTS: Final = (
    "issues", "pull_request", "pull_request_review", "push", "create", "release", "workflow_run",
    "workflow_job", "check_run", "check_suite", "status", "deployment", "deployment_status",
)  # fmt: skip
"""https://docs.github.com/webhooks/webhook-events-and-payloads"""
GITLAB_EVENTS: Final = (
    "push_events", "tag_push_events", "issues_events", "merge_requests_events", "job_events",
    "pipeline_events", "deployment_events", "releases_events",
)  # fmt: skip
"""https://docs.gitlab.com/api/project_webhooks/"""

FORMS: Final[Mapping[str, Form]] = {
    "github": Form(
        "the repository or organization, Settings, Webhooks, Add webhook",
        "Issues, Pull requests, Pull request reviews, Pushes, Branch or tag creation, Releases, "
        "Workflow runs, Workflow jobs, Check runs, Check suites, Statuses, Deployments, "
        "Deployment statuses",
    ),
    "gitlab": Form(
        "the project or group, Settings, Webhooks, Add new webhook",
        "Push, Tag push, Issues, Merge request, Job, Pipeline, Deployment, Releases events",
        "secret token",
    ),
    "jenkins": Form(
        "Manage Jenkins, System, Statistics Gatherer: the URL for builds and steps",
        "builds, build steps",
        "",
    ),
    "jira": Form(
        "Settings, System, WebHooks, Create a WebHook",
        "issue created, updated, deleted; sprint created, started, updated, closed, deleted",
    ),
    "linear": Form(
        "Settings, API, Webhooks, New webhook", "Data change events: Issues", "signing secret"
    ),
    "argocd": Form(
        "argocd-notifications-cm: a webhook service and a trigger, see docs/sources/argocd.md",
        "on sync running, succeeded, failed and on health degraded",
        "",
    ),
    "bitbucket": Form(
        "Repository settings, Webhooks, Add webhook",
        "push, build status created and updated, pull request (all), issue created and updated",
    ),
    "gitea": Form(
        "the repository or organization, Settings, Webhooks, Add webhook, Gitea",
        "Push, Create, Release, Issues, Pull request (all), reviews, Workflow run and job, status",
    ),
    "circleci": Form(
        "Project Settings, Webhooks, Add Webhook", "workflow-completed, job-completed",
        "secret token",
    ),
    "buildkite": Form(
        "Settings, Notification Services, Add Webhook",
        "build.scheduled, running, finished; job.scheduled, started, finished",
        "token",
    ),
    "pagerduty": Form(
        "Integrations, Generic Webhooks (v3), New Webhook", "incident events (all)"
    ),
    "azure": Form(
        "Project settings, Service hooks, Web Hooks", "see docs/sources/azure.md: one a kind of "
        "event; Basic authentication with the token as password", "",
    ),
}  # fmt: skip
USUAL: Final = ("github", "gitlab", "jenkins", "jira", "linear", "argocd")
"""The tools that people connect first, in the order of the dashboard's first page."""


def form_of(source: str) -> Form:
    """The form of a tool; for a tool that is not listed, a reference to its page in the docs."""
    return FORMS.get(source) or Form(
        f"see docs/sources/{source}.md", "see there", "the token in the header Authorization"
    )
