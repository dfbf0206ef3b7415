"""SQL about the first shipment of a change, for the read models and for those that read them."""

from typing import Final

MARK_AGAIN: Final = """
UPDATE dora_changes AS c SET again = EXISTS (SELECT 1 FROM dora_changes e
    WHERE e.change = c.change AND (e.at, e.deployment) < (c.at, c.deployment))"""
"""SQL: tells the later shipments of a change from its first one."""

FIRST_OF_PROJECT: Final = """(c.again = 0 OR NOT EXISTS (SELECT 1 FROM dora_changes e
    JOIN dora_places q ON q.id = e.place JOIN dora_places p ON p.id = c.place
    WHERE e.change = c.change AND (e.at, e.deployment) < (c.at, c.deployment)
    AND e.unit <> 1 AND q.project = p.project)) AND c.unit <> 1"""
"""SQL: whether a row `c` of dora_changes is the first shipment of the change in its project."""
