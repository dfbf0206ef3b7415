"""Base of sources whose tool signs nothing; vs-tui's token is their only proof."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.sources.base import Inbound, Unauthorized


class TokenSource:
    """The common fields of such sources; see `base.Source` for the meaning of each field."""

    title = ""
    version = 1
    signature_headers: tuple[str, ...] = ()
    token_in_url = True
    stored_headers: tuple[str, ...] = ()
    key_in_authorization = False
    """Whether the source's own secret is accepted in the Authorization header, as vs-tui's token
    is."""

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:  # noqa: ARG002
        """Always raise Unauthorized: the receiver checks the token before it calls this."""
        raise Unauthorized(
            f"{self.title} sends no signature; put the token into its Authorization header"
        )

    def dedupe_key(self, inbound: Inbound) -> str:  # noqa: ARG002
        """Empty: there is no delivery id, so the body's hash identifies repeats."""
        return ""
