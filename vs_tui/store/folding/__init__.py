"""From the log to spans: events are folded, linked and placed in traces, one transaction after
another.

- `projection` decides when to fold, `projector` what comes next, `batch` is one transaction;
- `span_folding` stores events and makes spans of them, `span_writes` writes their rows; `recurring`
  and `renamed` decide which span an event belongs to;
- `linker` links spans by the keys that they offer and seek, `parents` places them in traces;
  `overused_keys` and `link_queue` bound the work;
- `proximity` links incidents, `shipped_changes` links deploys by means of `containment` and
  `vcs_history`;
- `ended_runs` cancels the jobs that a run left open.
"""
