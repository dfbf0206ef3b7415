"""History backfill: what a tool's REST API lists becomes deliveries in the shape of the tool's own
webhooks, so that the same adapters read both.

`web` asks the API and `lists` reads its pages; `github`, `gitlab` and `jira` know what to ask and
how to say it as webhooks; `sending` brings it to the receiver, `progress` knows how far it came.
"""
