"""The sample story: deliveries of more than five weeks, from three teams of a fictional company.

`world` has the people, the clock and the templates of bodies; `github`, `gitlab` and `other_tools`
send the deliveries of a run, pipeline or deploy; each `team_*` sends the weeks of one team; `story`
joins them, and continues without an end.
"""
