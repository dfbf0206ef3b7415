"""The dashboard. Only here is textual imported.

app        the application: what all screens share, keys, actions by id
actions    one table of actions; keys, footer, help and palette are made from it
deeds      what the actions do that mean the same everywhere
navigation the views, the stack above them, back
feed       the change feed: what was committed becomes a repaint
watching   toast, bell and command when a span ends
commands   the palette
headline, banners, onboarding, filtering   what the frame of a screen says
look       palettes and glyphs
paint      text and strips; every text of an event is cleaned here
faces      what a span looks like in a list: state, age, ratio to its history
moment     the same at a past moment
output     clipboard, browser, files
settings, state   what the dashboard is given, and what it remembers
widgets/   the Line-API list and waterfall, sparkline, lines
screens/   one module a screen
"""
