"""The delivery metrics in the database, from changed spans to the numbers that are shown.

Writing, in the transaction that folds:
- `keeper` is called with the spans that changed;
- `facts` keeps a row of each deployment, incident and finished work;
- `affected_targets` says which targets must be judged again, and from which moment on;
- `judging` reads the `evidence` of a target and the `changes` it shipped, has it assessed by
  `vs_tui.metrics.assessment`, and writes the rows of `verdicts`.

After a rule of the configuration changed, `keeper` takes the same steps for all that is stored.

Reading:
- `scorecards` reads the rows of a group and measures them by the one table of definitions
  (`vs_tui.metrics.definitions`);
- `behind` lists the rows that a number stands on;
- `span_reports` and `coverage` read the spans themselves; `totals` are counters that only grow.
"""
