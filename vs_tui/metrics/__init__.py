"""Delivery metrics: DORA's five metrics, and ValueStream's figures for any kind of span.

    spans + links -> facts -> judged deployments -> samples -> report

All functions are pure; `now` and the time zone are parameters. `docs/metrics.md` has the
definitions.
"""
