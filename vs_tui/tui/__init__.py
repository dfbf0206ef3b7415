"""The dashboard. Only here is textual imported.

app        the application: what all screens share, keys, actions by id
actions    one table of actions; keys, footer, help and palette are made from it
global_actions  what the actions do that mean the same everywhere
session    the state that screens share
navigation the views, the stack above them, back
feed       the change feed: what was committed becomes a repaint
watching   toast, bell and command when a span ends
commands   the palette
headline, banners, onboarding, filtering   what the frame of a screen says
theme      palettes and glyphs
paint      text and strips; every text of an event is cleaned here
span_format, trace_rows   what a span and a trace look like in a list
diff_renderer, screen_buffer, driver   what is sent to the terminal: only what differs
output     clipboard, browser, files
dashboard_settings, saved_state   what the dashboard is given, and what it remembers
widgets/   the Line-API list and waterfall, sparkline, lines
screens/   one module a screen
"""
