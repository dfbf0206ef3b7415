"""The dashboard. Only this package imports textual.

app        the application: keys, and actions by id
actions    one table of actions; keys, footer, help and palette are built from it
global_actions  the actions that do the same on every screen, the palette, watched spans
session    the state that screens share
navigation the views, the stack of screens above them, back
feed       follows the change feed: repaints after commits
headline, first_minute, filtering   texts around a screen's content, and of an empty one
theme      palettes and glyphs
paint      text and strips; every text of an event is cleaned here
span_format, trace_rows   texts of a span and of a trace in a list
diff_renderer, driver   the terminal: only changed cells are sent, input is read safely
textual_internals   the private names of Textual and rich, all of them
output     clipboard, browser, files
dashboard_settings   settings from the command, and state kept between starts
widgets/   list and waterfall on Textual's Line API, inputs, boxes
screens/   one module per screen
"""
