"""From the log to spans: events are folded, linked and placed in traces, one transaction after
another.

- `projector` applies the log: it decides when to fold and what; `transaction` is one step;
- `stored_events` keeps the events of each span, `span_folding` makes spans of them and writes their
  rows; `renamed` gives them today's repository, `missing_ends` ends what nobody ended;
- `linker` links spans by the keys that they offer and seek, `parents` places them in traces;
  `crowded_keys` and `link_queue` bound the work;
- `incident_links` links incidents, `shipped_changes` links deploys by means of `containment` and
  `vcs_history`.
"""
