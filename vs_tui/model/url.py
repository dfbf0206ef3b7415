"""Remove secrets from URLs before they are shown or logged."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode, urlsplit


def shown_url(url: str, *, user: bool = False, parameters: Collection[str] | None = None) -> str:
    """A URL without its password; empty if it is not a URL. `user` keeps the user name;
    `parameters` lists the query parameters to keep (all by default). Text without a scheme, such as
    git@host:path, holds no password and stays as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if "://" not in url:
        return url
    account, _, host = parts.netloc.rpartition("@")
    name = account.partition(":")[0]
    if user and account:
        host = f"{name}@{host}"
    query = parts.query
    if parameters is not None:
        kept = [pair for pair in parse_qsl(query) if pair[0] in parameters]
        query = urlencode(kept, safe="/,:")
    # By hand: geturl() would make postgresql:///?a=b into another URL.
    tail = f"?{query}" * bool(query) + f"#{parts.fragment}" * bool(parts.fragment)
    return f"{parts.scheme}://{host}{parts.path}{tail}"
