"""Import of history: objects from a tool's REST API become deliveries in the shape of its webhooks,
so the same adapters read both.

`api` sends requests and reads lists; `github`, `gitlab` and `jira` know what to request and how to
write it as webhooks; `sending` posts to the receiver; `model` remembers how far an import got.
"""
