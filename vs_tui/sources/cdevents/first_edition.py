"""CDEvents before version 0.1, such as `cd.pipelinerun.finished.v1`, which have only attributes.

Source: the first SDKs (Go, Java, Python) and their command line. The subject's fields are extension
attributes, which binary mode sends as headers (`ce-pipelinerunid`). The status is free text; it
sets the outcome of a run only if it is a known outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vs_tui.sources.fields import known

FIRST: Final = "cd."
EXTENSIONS: Final = (
    *("pipelinerunid", "pipelinerunname", "pipelinerunstatus", "pipelinerunurl"),
    *("pipelinerunerrors", "taskrunid", "taskrunname", "taskrunpipelineid", "buildid", "buildname"),
    *("buildartifactid", "artifactid", "artifactname", "artifactversion", "serviceenvid"),
    *("servicename", "serviceversion"),
)
_OUTCOMES: Final = {
    **dict.fromkeys(("failure", "failed", "fail"), "failure"),
    **dict.fromkeys(("cancel", "cancelled", "canceled"), "cancel"),
    "error": "error",
}


def subject_of(family: str, told: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """(id, content) in the shape of current CDEvents; the id is empty if it is missing."""
    match family:
        case "pipelinerun":
            content = known(
                pipelineName=told.get("pipelinerunname"),
                uri=told.get("pipelinerunurl"),
                errors=told.get("pipelinerunerrors"),
                outcome=_OUTCOMES.get(told.get("pipelinerunstatus", "").strip().lower()),
            )
            return told.get("pipelinerunid", ""), content
        case "taskrun":
            above = known(id=told.get("taskrunpipelineid"))
            content = known(taskName=told.get("taskrunname"), pipelineRun=above or None)
            return told.get("taskrunid", ""), content
        case "build":
            content = known(taskName=told.get("buildname"), artifactId=told.get("buildartifactid"))
            return told.get("buildid", ""), content
        case "artifact":
            named = _purl(told.get("artifactname", ""), told.get("artifactversion", ""))
            identifier = told.get("artifactid", "")
            return identifier if identifier.startswith("pkg:") else named or identifier, {}
        case "service":
            name = told.get("servicename", "")
            environment = known(id=told.get("serviceenvid"))
            version = _purl(name, told.get("serviceversion", ""))
            return name, known(environment=environment or None, artifactId=version)
    return "", {}


def _purl(name: str, version: str) -> str:
    return f"pkg:generic/{name}@{version}" if name and version else ""
