"""The sample story: deliveries of more than five weeks, from three teams of a fictional company.

Builders (`github`, `github_actions`, `gitlab`, `jira`, `other_tools`) write bodies in each tool's
own format and send the deliveries of a run, pipeline or deploy; each `team_*` sends the weeks of
one team; `story` joins them, and continues without an end.
"""
