"""Sources whose tool signs nothing: our token is their only proof."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.sources.base import Inbound, Unauthorized


class TokenSource:
    """What such sources have in common; see `base.Source` for the meaning of each field."""

    title = ""
    version = 1
    signature_headers: tuple[str, ...] = ()
    token_in_url = True
    stored_headers: tuple[str, ...] = ()
    key_in_authorization = False
    """Whether the source's own secret counts in the Authorization header as our token does."""

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:  # noqa: ARG002
        """Never proves anything: the receiver checks the token before it would ask here."""
        raise Unauthorized(
            f"{self.title} sends no signature; put the token into its Authorization header"
        )

    def dedupe_key(self, inbound: Inbound) -> str:  # noqa: ARG002
        """No delivery id: the body's hash tells repeats."""
        return ""
