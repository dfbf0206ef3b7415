"""plyzen: its basic and advanced ingest schema.

Source of the bodies: the JSON schemas and the instrumentation guide that plyzen publishes.

- basic: one flat record, with `artifact`, `environment` and `event` (`start` or `finish`) at least;
- advanced: `{"activities": [...]}`, each with a `correlationId`, any number of events and
  artifacts, and optionally a product.

The span of a record is identified by:

- advanced: the correlationId alone. Chunks of a record repeat nothing, so the artifacts are
  attributes of the one activity span (`vs.artifact.NAMESPACE/NAME` = version,
  `vs.result.NAMESPACE/NAME` = result);
- basic with a correlationId: type, correlationId and artifact. The artifacts of one product
  deployment share `vs.correlation_id` and `vs.product`;
- basic without one: artifact, version, environment, instance and activity. A repeated run
  reopens the span; `vs.run.TIME` = `start`, `success` or `failure` records each run.

A record with a correlationId that is sent again amends the earlier one: the last one received
counts (`Event.slot`).
"""

from __future__ import annotations

from typing import Final

from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, parsed
from vs_tui.sources.fields import json_object
from vs_tui.sources.plyzen.spans import AdvancedRecord, BasicRecord, activity_events, basic_events
from vs_tui.sources.schema import validated
from vs_tui.sources.signatures import Scheme

_ANSWER: Final = {"result": "success"}


class Plyzen(Source):
    """plyzen's ingest endpoint."""

    name = "plyzen"
    title = "plyzen"
    token_in_url = True
    signature = Scheme("x-api-key", "token")
    # As in plyzen's scripts; its guide sends the key as `Authorization`.
    key_in_authorization = True

    def parse(self, inbound: Inbound) -> Parsed:
        payload = json_object(inbound)
        if "activities" not in payload:
            record = validated(BasicRecord, payload)
            if not record.type:
                why = "must contain build, deploy, test or alarm, or send activityType"
                raise BadBody("activity", why)
            return Parsed(
                f"{record.type}.{record.event}", basic_events(record, inbound), answer=_ANSWER
            )
        activities = validated(AdvancedRecord, payload).activities
        at = inbound.received_at
        events = [event for activity in activities for event in activity_events(activity, at)]
        return parsed("activities", events or "the list of activities is empty", _ANSWER)


SOURCE: Final = Plyzen()
