"""The dashboard. Only here is textual imported.

app      the application: change feed, freeze, navigation, actions
actions  one table of actions; keys, footer, help and palette are made from it
look     palettes and glyphs
paint    text and strips; every text of an event is cleaned here
faces    what a span looks like in a list: state, age, ratio to its history
widgets/ the Line-API list and waterfall, sparkline, lines
screens/ one module a screen
"""
