"""The sample story: over five weeks of three teams of a company that does not exist, as deliveries.

Builders (`github`, `gitlab`, `jenkins`, `jira`, `others`) make bodies in each tool's own format;
`activities` send what a run, a pipeline or a deploy sends; `core`, `web` and `plat` are the
teams' weeks; `story` puts them together; `live` goes on from there without an end.
"""
