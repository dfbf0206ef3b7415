"""The delivery metrics in the database, from changed spans to the numbers that are shown.

Writing, in the transaction that folds: `keeper` is called with the spans that changed; `facts`
keeps a row of each that counts; `affected_targets` says which targets must be judged again;
`judging` reads their `evidence`, has it assessed by `vs_tui.metrics` and writes the rows of
`verdicts`.

Reading: `scorecards` gives the rows of a group to the one table of definitions
(`vs_tui.metrics.definitions`), `behind` lists the rows that a number stands on. `span_reports`
and `coverage` are read from the spans themselves, `totals` only grow.
"""
