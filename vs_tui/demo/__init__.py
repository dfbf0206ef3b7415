"""The sample story: deliveries of more than five weeks, from three teams of a fictional company.

Builders (`github`, `actions`, `gitlab`, `jira`, `others`) write bodies in each tool's own format
and send the deliveries of a run, pipeline or deploy; `core`, `web` and `plat` are the teams' weeks;
`story` joins them, and continues without an end.
"""
