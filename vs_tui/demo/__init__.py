"""The sample story: deliveries of more than five weeks, from three teams of a fictional company.

Builders (`github`, `gitlab`, `jenkins`, `jira`, `others`) write bodies in each tool's own format;
`activities` send the deliveries of a run, pipeline or deploy; `core`, `web` and `plat` are the
teams' weeks; `story` joins them; `live` continues the story without an end.
"""
