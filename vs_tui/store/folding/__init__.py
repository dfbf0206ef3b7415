"""From the log to spans: events are folded, linked and placed in traces, one transaction after
another.

- `projector` applies the log: it decides when to fold and what; `transaction` is one step;
- `stored_events` keeps the events of each span and the names of repositories, `span_folding` makes
  spans of them and writes their rows, `missing_ends` ends what nobody ended;
- `linker` links spans by the keys that they offer and seek, `parents` places them in traces;
  `crowded_keys` bounds the work;
- `incident_links` links incidents, `shipped_changes` links deploys by means of `containment`,
  `branch_stretches` and `vcs_history`.
"""
