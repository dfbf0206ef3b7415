"""The delivery metrics in the database, from changed spans to the displayed numbers.

Writing, in the transaction that folds:

- `keeper` gets the spans that changed;
- `counted_spans` keeps a row for each deployment, incident and finished work item;
- `affected_targets` finds the targets that must be judged again, each from which instant on;
- `judging` reads the `target_facts` of each target and the `changes` it shipped, assesses them with
  `vs_tui.metrics.assessment`, and writes the rows of `verdicts`.

After a rule of the configuration changed, `keeper` takes the same steps for all stored spans.

Reading:

- `scorecards` reads the rows of a group and measures them by the one table of definitions
  (`vs_tui.metrics.definitions`);
- `metric_rows` lists the rows behind a number.
"""
