"""The delivery metrics in the database, from changed spans to the displayed numbers.

Writing, in the transaction that folds:

- `keeper` gets the spans that changed;
- `counted_spans` keeps a row for each deployment, incident and finished work item;
- `affected_targets` finds the targets that must be judged again, each from which instant on;
- `judge_targets` reads the `target_facts` of each target and its `target_changes`, which are what
  its deployments shipped, judges them with `vs_tui.metrics.judging`, and writes `judged_rows`.

After a rule of the configuration changed, `keeper` takes the same steps for all stored spans.

Reading:

- `scorecards` reads the rows of a group and measures them by the one table of definitions
  (`vs_tui.metrics.definitions`);
- `metric_rows` lists the rows behind a number.
"""
