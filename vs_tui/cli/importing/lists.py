"""Lists of a REST API whose pages are linked by Link headers (GitHub, GitLab)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vs_tui.cli.importing.model import objects
from vs_tui.cli.importing.web import Answer, Api

PAGE: Final = 100


class Lists:
    """The lists below one project's address, requested newest first.

    If an object changes meanwhile, it moves others to a later page, where they are read twice; its
    own webhook or the next import reports the change. Oldest first, it would move others to a page
    that was read already, and they would be missed.
    """

    def __init__(self, api: Api, project: str) -> None:
        self._api = api
        self._project = project

    def page(self, cursor: str, path: str, **query: object) -> Answer:
        """The page at a cursor; the empty cursor means the first page."""
        if cursor:
            return self._api.get(cursor)
        return self._api.get(f"{self._project}/{path}", per_page=PAGE, **query)

    def every(self, path: str, field: str = "", **query: object) -> Iterator[dict[str, Any]]:
        """Every object of a list, over all pages; `field` names the list in an answer."""
        answer = self.page("", path, **query)
        while True:
            value = answer.value
            if field:
                value = value.get(field) if isinstance(value, dict) else None
            yield from objects(value)
            if not answer.next:
                return
            answer = self._api.get(answer.next)
