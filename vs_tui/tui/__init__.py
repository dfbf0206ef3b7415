"""The dashboard. Only this package imports textual.

app        the application: keys, and actions by id
actions    one table of actions; keys, footer, help and palette are built from it
session    the state that screens share; a trace as of a past moment, past runs
navigation the views, the stack of screens above them, back, the palette
feed       follows the change feed: repaints after commits; watched spans
header, first_steps, filtering   texts around a screen's content, and of an empty one
theme      palettes and glyphs
paint      text and strips; every text of an event is cleaned here
span_format, trace_format   texts of a span and of a trace in a list
metric_detail, source_status   texts behind a number, and of a source
hidden_names  roles in place of the names of people
diff_renderer, driver   the terminal: only changed cells are sent, input is read safely
textual_internals   the private names of Textual and rich, all of them
output     clipboard, browser, files
dashboard_settings   settings from the command, and state kept between starts
widgets/   boxes with a cursor (list, waterfall, document), inputs
screens/   one module per screen; `listed` is the base of those with a list
"""
