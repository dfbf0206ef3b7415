"""Delivery metrics: DORA's five, and ValueStream's questions about any kind of span.

    spans + links -> facts -> assessed deployments -> samples -> report

All of it is pure; `now` and the time zone are parameters. `docs/metrics.md` has the definitions.
"""
