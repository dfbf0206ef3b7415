"""Import of history: objects from a tool's REST API become deliveries in the shape of its webhooks,
so the same adapters read both.

`github`, `gitlab` and `jira` know what to request and how to write it as webhooks. They share what
is here: requests over one HTTP connection, which wait for rate limits and send the token to no
other host; lists, pages and deliveries; and, in `commits`, the pushes behind a list of commits.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from vs_tui.cli.common import CommandError
from vs_tui.cli.http_client import Connection, HttpError, Response, address, proxy
from vs_tui.config.loading import proxy_for
from vs_tui.model.time import parse_instant


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as the tool would have sent it."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def delivery(
    path: str, id_header: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Delivery:
    """A delivery with an id made from its content: the receiver takes an unchanged object for a
    duplicate, and a changed one for a new delivery."""
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    named = dict(headers or {})
    mark = hashlib.sha256(json.dumps(sorted(named.items())).encode() + raw).hexdigest()[:32]
    named |= {"content-type": "application/json", id_header: f"import-{mark}"}
    return Delivery(path, named, raw)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a step's list."""

    deliveries: Sequence[Delivery]
    next: str = ""
    """The cursor of the next page; empty at the end."""
    pages: int = 0
    """Number of pages, if the API says it; else 0."""


@dataclass(frozen=True, slots=True)
class ImportScope:
    """What to import."""

    since: str
    """RFC 3339, UTC; objects that changed since then are imported."""
    details: bool = True
    """Whether to request what the lists leave out: reviews, commits, jobs."""
    only: frozenset[str] = field(default_factory=frozenset)
    """Names of steps; empty: all."""


class Forbidden(Exception):
    """The API refuses a list or does not have it; the message says which permission is missing."""


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; empty for anything else."""
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))


TIMEOUT: Final = 60.0
ATTEMPTS: Final = 6
"""Attempts of a request that fails for a temporary reason; the pauses double from one second."""
MAX_ANSWER: Final = 64 * 1024 * 1024
MAX_KNOWN: Final = 200
"""Answers that are kept to be requested again by their ETag."""
MAX_WAIT: Final = 2 * 3600.0
"""Longest pause in seconds that a rate limit may ask for."""
_REDIRECTS: Final = 5
_AGAIN: Final = "run the same command again{}: it goes on where it stopped"
_NEXT: Final = re.compile(r"<([^<>]+)>\s*;[^,]*\brel=\"?(next|last)\"?")
_PAGE: Final = re.compile(r"[?&]page=(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer."""

    value: Any
    headers: Mapping[str, str]
    """Lower-case names."""

    @property
    def next(self) -> str:
        """The URL of the next page in the Link header; empty at the end."""
        return self._link("next")

    @property
    def pages(self) -> int:
        """Number of pages; 0 if unknown."""
        total = self.headers.get("x-total-pages", "")
        found = _PAGE.search(self._link("last"))
        return int(total) if total.isdigit() else int(found[1]) if found else 0

    def objects(self, key: str = "") -> Iterator[dict[str, Any]]:
        """The objects of the list, which has a name in some answers."""
        value = self.value
        if key:
            value = value.get(key) if isinstance(value, dict) else None
        return objects(value)

    def _link(self, rel: str) -> str:
        links: list[tuple[str, str]] = _NEXT.findall(self.headers.get("link", ""))
        return next((url for url, name in links if name == rel), "")


class Api:
    """Requests below a base URL. `notice(text)` says why a request waits."""

    def __init__(
        self, base: str, headers: Mapping[str, str], notice: Callable[[str], None]
    ) -> None:
        self._base = base.rstrip("/") + "/"
        self._origin = _origin(urlsplit(self._base))
        self._headers = {"Accept": "application/json", "User-Agent": "vs-tui", **headers}
        self._notice = notice
        through = proxy_for(self._base)
        self._connection = Connection(address(self._base), proxy(through) if through else None)
        self.remembers = False
        """Whether lists are requested with the ETag of the last answer: unchanged lists are not
        sent again, and GitHub does not count such a request."""
        self._known: dict[str, Response] = {}

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, **query: object) -> Answer:
        """Request a path below the base URL, or a whole URL of the same host. Raises Forbidden for
        400, 403, 404, 409, 410 and 422, and CommandError for every other lasting failure."""
        url = urljoin(self._base, path)
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query)
        for _ in range(_REDIRECTS):
            if _origin(urlsplit(url)) != self._origin:
                raise CommandError(
                    f"{self._base} refers to {url[:200]}, another host, which does not get the "
                    "token; give its address with --url if it is right"
                )
            found = self._patiently(url)
            if found.status not in (301, 302, 307, 308):
                return self._read(url, found)
            url = urljoin(url, found.headers.get("location", ""))
        raise CommandError(f"{url[:200]} redirects without end; check --url")

    def send(self, method: str, path: str, value: object) -> Answer:
        """Send a request that changes something, only once: after a missing answer nobody knows
        whether it took effect. Raises as `get` does."""
        url = urljoin(self._base, path)
        try:
            found = self._ask(url, method, value)
        except (OSError, HttpError) as error:
            raise CommandError(
                f"{self._base} did not answer: {error or type(error).__name__}; run the same "
                "command again: what is there already is not made twice"
            ) from None
        return self._read(url, found)

    def _patiently(self, url: str) -> Response:
        """Repeat a request until its answer is final."""
        delay = 1.0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._ask(url)
            except (OSError, HttpError) as error:
                why = str(error) or type(error).__name__
                if attempt == ATTEMPTS:
                    raise CommandError(
                        f"{self._base} cannot be reached: {why}; check --url and the network, "
                        f"then {_AGAIN.format('')}"
                    ) from None
                self._pause(delay, why)
            else:
                asked = _asked_delay(answer.status, answer.headers)
                if asked is None and (answer.status < 500 or attempt == ATTEMPTS):
                    return answer
                if asked is not None and asked > MAX_WAIT:
                    wait = f"{self._base} asks to wait {asked / 3600:.1f} hours"
                    raise CommandError(f"{wait}; {_AGAIN.format(' then')}")
                why = f"{self._base} answered {answer.status}" if asked is None else "rate limit"
                self._pause(delay if asked is None else asked, why)
            delay *= 2
        raise CommandError(f"{self._base} kept on limiting the rate; {_AGAIN.format(' later')}")

    def _ask(self, url: str, method: str = "GET", value: object = None) -> Response:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        known = self._known.get(url) if method == "GET" else None
        sent = None if value is None else json.dumps(value).encode()
        headers = {
            **self._headers,
            **({"If-None-Match": known.headers["etag"]} if known else {}),
            **({"Content-Type": "application/json"} if sent is not None else {}),
        }
        found = self._connection.request(
            method, path, headers, sent, timeout=TIMEOUT, repeat=method == "GET", limit=MAX_ANSWER
        )
        if found.status == 304 and known:
            return known
        if self.remembers and found.status == 200 and found.headers.get("etag"):
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[url] = found
        return found

    def _read(self, url: str, found: Response) -> Answer:
        status = found.status
        if 200 <= status < 300:
            try:
                return Answer(json.loads(found.body) if found.body else None, found.headers)
            except ValueError:
                raise CommandError(
                    f"{url[:200]} answered something that is not JSON; is it the API's address? "
                    "(see --url)"
                ) from None
        said = _told(url, found)
        if status == 401:
            raise CommandError(f"{said}; the token is wrong or has expired")
        if status in (400, 403, 404, 409, 410, 422):  # 409: an empty repository
            raise Forbidden(said)
        raise CommandError(f"{said}; {_AGAIN.format('')}")

    def _pause(self, seconds: float, why: str) -> None:
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
        self._notice(f"{why}: going on at {until}")
        time.sleep(seconds)


PAGE: Final = 100
"""Objects a page."""


class Project:
    """One project of a tool. A subclass describes the tool; each of its steps is a method of that
    name, which reads the page at a cursor.

    Lists are requested newest first. If an object changes meanwhile, it moves others to a later
    page, where they are read twice; its own webhook or the next import reports the change. Oldest
    first, it would move others to a page that was read already, and they would be missed.
    """

    title: ClassVar[str]
    url: ClassVar[str] = ""
    """The base URL of the API; empty if every site has its own."""
    host: ClassVar[str] = ""
    """The address of the tool's own site, which people paste with a name."""
    variable: ClassVar[str]
    """The environment variable that holds the token."""
    steps: ClassVar[Sequence[str]]
    """The lists to read, in order."""
    what: ClassVar[str]
    """The help's word for a project."""
    wanted: ClassVar[str]
    """What a name must be, as an error says it."""
    has_users: ClassVar[bool] = False
    """Whether a token may belong to a user who has to be named."""

    def __init__(self, api: Api, at: str, scope: ImportScope) -> None:
        self._api, self._at, self._scope = api, at, scope

    @classmethod
    def projects(cls, names: Iterable[str]) -> list[str]:
        """The names as the API has them; ValueError quotes a wrong one."""
        found = [cls.plain(name.strip()) for name in names]
        for name, plain in zip(names, found, strict=True):
            if not cls._is_name(plain):
                raise ValueError(f"'{name}' is not {cls.wanted}")
        return found

    @classmethod
    def plain(cls, name: str) -> str:
        return name.removesuffix(".git").removeprefix(cls.host).strip("/")

    @classmethod
    def _is_name(cls, name: str) -> bool:
        return "/" in name and not any(c.isspace() for c in name)

    @classmethod
    def proof(cls, token: str, user: str) -> dict[str, str]:  # noqa: ARG003
        """The headers that carry the token, for a user if it needs one."""
        return {"Authorization": f"Bearer {token}"}

    def _object(self, path: str) -> dict[str, Any]:
        """The object at a path; empty for anything else."""
        found = self._api.get(path).value
        return found if isinstance(found, dict) else {}

    def _list(self, cursor: str, path: str, **query: object) -> Answer:
        """The page of a list at a cursor; the empty cursor means the first page."""
        if cursor:
            return self._api.get(cursor)
        return self._api.get(f"{self._at}/{path}", per_page=PAGE, **query)

    def _every(self, path: str, key: str = "", **query: object) -> Iterator[dict[str, Any]]:
        """Every object of a list, over all pages; `key` names the list in an answer."""
        answer = self._list("", path, **query)
        yield from answer.objects(key)
        while answer.next:
            answer = self._api.get(answer.next)
            yield from answer.objects(key)

    @property
    def _reads_commits(self) -> bool:
        return not self._scope.only or "commits" in self._scope.only

    def _recent(self, path: str, newest_by: str, **query: str) -> Iterator[dict[str, Any]]:
        """The objects of a list that is newest first by a time, up to the first one too old; none
        if the API refuses it."""
        try:
            for entry in self._every(path, **query):
                if not self._is_recent(entry, newest_by):
                    return
                yield entry
        except Forbidden:
            return

    def _existing(
        self, path: str, wanted: Iterable[object], known: Collection[object]
    ) -> list[object]:
        """Those of the wanted names that a list of branches has. Nothing is asked if all are
        known."""
        others = [name for name in wanted if name not in known]
        try:
            listed = {each.get("name") for each in self._every(path)} if others else ()
        except Forbidden:
            return []
        return [name for name in others if name in listed]

    def _page(
        self,
        answer: Answer,
        made: Callable[[dict[str, Any]], Iterable[Delivery]],
        *,
        newest_by: str = "",
        key: str = "",
    ) -> Page:
        """The deliveries that are made of a page's objects; `key` names its list. If the list is
        newest first by a time, all behind the first object that is too old are older."""
        listed = list(answer.objects(key))
        recent = [entry for entry in listed if not newest_by or self._is_recent(entry, newest_by)]
        found = [delivery for entry in recent for delivery in made(entry)]
        return Page(found, answer.next if len(recent) == len(listed) else "", answer.pages)

    def _is_recent(self, entry: Mapping[str, Any], field: str) -> bool:
        at, since = parse_instant(entry.get(field)), parse_instant(self._scope.since)
        return at is None or since is None or at >= since


def _asked_delay(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait according to a rate limit's answer; None if it is not one. GitHub answers 403
    or 429 with Retry-After, or with X-RateLimit-Remaining 0 and the epoch of its reset; GitLab 429
    with RateLimit-Reset; Jira 429 with Retry-After."""
    spent = headers.get("x-ratelimit-remaining") == "0"
    after = headers.get("retry-after", "")
    if status not in (403, 429, 503) or (status != 429 and not (after or spent)):
        return None
    if after.isdigit():
        return max(float(after), 1.0)
    for name in ("x-ratelimit-reset", "ratelimit-reset"):
        reset = headers.get(name, "")
        if reset.isdigit():
            return max(int(reset) - time.time() + 1, 1.0)
    return 60.0


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port


def _told(url: str, found: Response) -> str:
    """The path and the status, with the API's own message: printable characters only."""
    fields = found.fields
    said = fields.get("message") or fields.get("error") or fields.get("errorMessages") or ""
    words = "".join(c if c.isprintable() else " " for c in str(said)[:200]).strip()
    return f"{urlsplit(url).path} answered {found.status}" + (f" ({words})" if words else "")
