"""Widgets on Textual's Line API. Each draws its own lines, keeps no stale cache, repaints only
changed lines, and moves nothing by itself."""
