"""Authentication of senders and readers: our token, and the tools' own signatures."""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from vs_tui.config import Config, ConfigError, NamedToken, Secrets, read_secrets
from vs_tui.ingest.http_errors import Refused
from vs_tui.log.delivery import DECISION_SOURCE
from vs_tui.model.request_advice import shown_header
from vs_tui.model.request_signing import NAMED_TOKEN, delivery_message, signing_key
from vs_tui.model.time import SECOND, Instant
from vs_tui.sources.base import Inbound, Source, Unauthorized
from vs_tui.sources.signatures import REPLAY_WINDOW, any_token, digest, same

log = logging.getLogger(__name__)

_VS1: Final = "VS1 "
_OWN: Final = frozenset({"customhttp", DECISION_SOURCE})
"""Sources that our own commands send to."""
_FORWARDED: Final = frozenset(
    {
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "cf-connecting-ip",
        "true-client-ip",
    }
)
"""Headers that proxies and tunnels add."""
_FROM_AFAR: Final = (
    "this receiver has no authentication and answers this machine and its network only; to open it "
    "behind a proxy or tunnel as well, start it with --no-auth-public"
)


def header_tokens(authorization: str) -> list[str]:
    """The tokens in an Authorization header: `TOKEN`, `Bearer T`, `token T`, or Basic's user and
    password."""
    scheme, _, rest = authorization.strip().partition(" ")
    if not rest:
        return [scheme]
    if scheme.lower() in ("bearer", "token"):
        return [rest.strip()]
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return []
        user, _, password = decoded.partition(":")
        return [password, user]
    return []


class SecretsFile:
    """The current secrets: those in the file, and those set by a variable or a flag. A running
    receiver uses a rotated secret within a second."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = config.secrets_path
        self._clock = clock
        self._given = config.secrets
        self._stamp = self._look()
        self._next = 0.0
        # The file may have changed since the configuration was read.
        found = read_secrets(self._path)
        self._now = self._merged(found) if found.token else config.secrets

    def __call__(self) -> Secrets:
        if self._clock() >= self._next:
            self._next = self._clock() + 1.0
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self._read()
        return self._now

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)

    def _read(self) -> None:
        try:
            found = read_secrets(self._path)
        except ConfigError as error:
            log.error("%s; the secrets read before stay in force", error)
            return
        if not found.token:
            log.error("%s is gone or empty; its secrets stay in force", self._path)
            return
        self._now = self._merged(found)
        log.info("%s changed: its secrets are in force", self._path)

    def _merged(self, found: Secrets) -> Secrets:
        """The secrets of the file, and those that the file does not decide."""
        given = self._given
        sources = {name: given.sources[name] for name in given.fixed & given.sources.keys()}
        token = given.token if "token" in given.fixed else found.token
        return replace(found, token=token, sources={**found.sources, **sources})


class Gate:
    """Checks the proof of each request. Closed unless it is opened by `no_auth`."""

    def __init__(
        self,
        secrets: Callable[[], Secrets],
        *,
        no_auth: bool = False,
        public: bool = False,
        host: str = "",
        on_use: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`public` also opens it through a proxy or tunnel. `host` is the address we listen on.
        `on_use` is called with the name of each named token that proves a request."""
        self._secrets = secrets
        self._on_use = on_use
        self._made: dict[str, Instant] = {}
        """Signature -> time of the decision, for the last minutes, oldest first."""
        self.open = no_auth
        self._public = public
        self._host = host.lower()

    def admit_head(
        self, source: Source, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> str:
        """Check the headers before the body is read, so that strangers cannot make us read bodies.
        Raises Unauthorized unless our token is there, or a signature to be verified with the body.
        Returns a description of the proof; empty for a signature, which is still to be verified."""
        if self.open:
            self._refuse_from_afar(headers)
            return "none was asked for"
        if _signed(source, headers) or _sent_on(headers):
            return ""
        offered = header_tokens(headers.get("authorization", ""))
        in_url = [query.get("token", "")] if source.token_in_url else []
        if getattr(source, "key_in_authorization", False):
            for number, secret in enumerate(self._secrets().of(source.name)):
                if any(any_token(each, [secret]) for each in offered):
                    return f"key{_age(number)}"
        for given, where in ((offered, ""), (in_url, " in the URL")):
            for number, secret in enumerate(self._secrets().tokens):
                if any(any_token(each, [secret]) for each in given):
                    return f"token{where}{_age(number)}"
            if (token := self._named(given, "send")) and source.name != DECISION_SOURCE:
                return f"token {token.name}{where}"
        raise Unauthorized(missing_proof(source))

    def admit_body(self, source: Source, inbound: Inbound) -> str:
        """Verify the signature of the body, if there is one. Raises Unauthorized if it is wrong,
        even if the request also has a valid token. Returns a description of the proof and of its
        secret: a secret from before a rotation means that the tool still uses the old one."""
        if self.open:
            return ""
        proof = self._proof_of_sent_on(source, inbound) if _sent_on(inbound.headers) else ""
        if not _signed(source, inbound.headers):
            return proof
        secrets = self._secrets().of(source.name)
        for number, secret in enumerate(secrets):
            with contextlib.suppress(Unauthorized):
                _verify(source, inbound, [secret])
                return f"signature{_age(number)}"
        # Our own commands sign with the token, so that it never leaves the machine.
        is_own = source.name in _OWN and bool(inbound.header("x-vs-signature"))
        for number, token in enumerate(self._secrets().tokens if is_own else ()):
            with contextlib.suppress(Unauthorized):
                _verify(source, inbound, [token])
                if source.name == DECISION_SOURCE:
                    self._once(inbound)
                return f"signature by the token{_age(number)}"
        for named in self._secrets().named if is_own and source.name != DECISION_SOURCE else ():
            if named.scope == "send":
                with contextlib.suppress(Unauthorized):
                    _verify(source, inbound, [named.hash.encode()])
                    self._on_use(named.name)
                    return f"signature by the token {named.name}"
        try:
            _verify(source, inbound, secrets)
        except Unauthorized as error:
            hint = f"the secret is what `vs-tui secret show {source.name}` prints"
            if getattr(source, "makes_secret", False):
                hint = (
                    f"{source.title} shows the secret; it belongs into secrets.toml, under "
                    f"[{source.name}]"
                )
            raise Unauthorized(f"{error}; {hint}") from None
        return "signature"

    def admit_reader(
        self, headers: Mapping[str, str], method: str = "", path: str = ""
    ) -> NamedToken | None:
        """Raise Refused (401) unless the Authorization header holds our token, a named token that
        may read, or a signature of this request by one of them. Returns the named token that was
        used."""
        if self.open:
            self._refuse_from_afar(headers)
            return None
        authorization = headers.get("authorization", "")
        offered = header_tokens(authorization)
        if any(any_token(given, self._secrets().tokens) for given in offered):
            return None
        if token := self._named(offered, "read"):
            return token
        if message := _signed_message(authorization, f"{method} {path}"):
            given = authorization.rpartition(":")[2]
            keys = [(token, None) for token in self._secrets().tokens]
            named = [token for token in self._secrets().named if token.scope == "read"]
            for key, signer in (*keys, *((each.hash.encode(), each) for each in named)):
                if any_token(given, [digest(key, message).hex()]):
                    if signer:
                        self._on_use(signer.name)
                    return signer
        raise Refused(
            401,
            "unauthorized",
            "send the token as `Authorization: Bearer TOKEN`; `vs-tui secret show token` prints it",
        )

    def lasting(self, reader: NamedToken | None) -> Callable[[], bool]:
        """A function that returns whether this reader would still be admitted; a stream ends with
        its token. A rotation that ends one of our tokens ends all streams that were opened with
        them."""
        before = [] if self.open or reader else list(self._secrets().tokens)

        def lasts() -> bool:
            if reader is None:
                return all(any(same(token, t) for t in self._secrets().tokens) for token in before)
            named = [t.hash for t in self._secrets().named if t.scope == reader.scope]
            return any_token(reader.hash, named)

        return lasts

    def _proof_of_sent_on(self, source: Source, inbound: Inbound) -> str:
        """The proof of a tool's delivery that our own commands forward, signed with the token or a
        named one."""
        head, _, given = inbound.header("authorization").removeprefix(_VS1).rpartition(":")
        path = "/" + inbound.url.partition("://")[2].partition("/")[2]
        message = delivery_message(head, path, inbound.headers, inbound.body)
        for number, token in enumerate(self._secrets().tokens):
            if any_token(given, [digest(token, message).hex()]):
                return f"signature by the token{_age(number)}"
        for named in self._secrets().named if source.name != DECISION_SOURCE else ():
            signed = named.scope == "send" and digest(named.hash.encode(), message).hex()
            if signed and any_token(given, [signed]):
                self._on_use(named.name)
                return f"signature by the token {named.name}"
        raise Unauthorized(
            "the signature in the Authorization header is not that of this delivery by our token; "
            "`vs-tui secret show token` prints it, and both clocks must agree within five minutes"
        )

    def _named(self, offered: Sequence[str], scope: str) -> NamedToken | None:
        """The named token with this scope among the offered ones."""
        given = [signing_key(each) for each in offered if each.startswith(NAMED_TOKEN)]
        for token in self._secrets().named:
            if token.scope == scope and any(any_token(token.hash, [each]) for each in given):
                self._on_use(token.name)
                return token
        return None

    def _once(self, inbound: Inbound) -> None:
        """Refuse a decision whose signature was used before; each signature is valid once."""
        proof, now = inbound.header("x-vs-signature"), inbound.received_at
        while self._made and next(iter(self._made.values())) < now - 2 * REPLAY_WINDOW:
            del self._made[next(iter(self._made))]
        if proof in self._made:
            raise Refused(401, "unauthorized", "this signed request came before; sign it again")
        self._made[proof] = now

    def _refuse_from_afar(self, headers: Mapping[str, str]) -> None:
        """Refuse requests that do not come from this machine or its network (403), which `no_auth`
        does not mean to admit. Behind a tunnel every peer is 127.0.0.1, and with DNS rebinding a
        foreign page sends from a browser on this machine."""
        if self._public:
            return
        if not _FORWARDED.isdisjoint(headers) and any(map(headers.get, _FORWARDED)):
            raise Refused(403, "forbidden", _FROM_AFAR)
        if not _is_nearby(headers.get("host", ""), self._host):
            raise Refused(403, "forbidden", _FROM_AFAR)


def _signed_message(authorization: str, asked: str) -> bytes:
    """The message that `VS1 SECONDS:HMAC` signs: method, path and seconds. Empty if the header is
    no such proof or is too old."""
    seconds, _, given = authorization.removeprefix(_VS1).partition(":")
    if not (authorization.startswith(_VS1) and given and _is_recent(seconds)):
        return b""
    return f"{asked} {seconds}".encode("utf-8", "surrogateescape")


def _sent_on(headers: Mapping[str, str]) -> bool:
    """Whether a delivery has a recent `VS1 SECONDS;NAME,...:HMAC`, which is still to be
    verified."""
    authorization = headers.get("authorization", "")
    seconds, _, rest = authorization.removeprefix(_VS1).partition(";")
    return authorization.startswith(_VS1) and ":" in rest and _is_recent(seconds)


def _is_recent(seconds: str) -> bool:
    return (
        seconds.isascii()
        and seconds.isdigit()
        and abs(time.time() - int(seconds[:15])) <= REPLAY_WINDOW / SECOND
    )


def _verify(source: Source, inbound: Inbound, secrets: Sequence[bytes]) -> None:
    try:
        source.verify(inbound, secrets)
    except Unauthorized:
        raise
    except Exception:
        # A hostile header may make a verifier fail in any way; it is not a proof.
        raise Unauthorized("the signature could not be read") from None


def _age(number: int) -> str:
    """Describes the age of a secret by its index among the valid secrets, newest first."""
    return ", newest secret" if number == 0 else ", secret before the last rotation"


def _host_of(header: str) -> str:
    """A Host header without its port."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


@lru_cache(maxsize=64)
def _is_nearby(header: str, own: str) -> bool:
    """Whether a Host header is an IP address, a name without a domain (which nobody can register),
    or the address we listen on."""
    host = _host_of(header)
    if not host or "." not in host or host.rpartition(".")[2] == "localhost" or host == own:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _signed(source: Source, headers: Mapping[str, str]) -> bool:
    return any(headers.get(name) for name in source.signature_headers)


def missing_proof(source: Source) -> str:
    """An error message that lists the proofs that this tool can send."""
    proofs = []
    if source.signature_headers:  # a tool that signs nothing has no secret of its own
        headers = " or ".join(map(shown_header, source.signature_headers))
        proofs.append(f"with what `vs-tui secret show {source.name}` prints (header {headers})")
    elsewhere = ", or ?token= in the URL" if source.token_in_url else ""
    proofs.append(f"with what `vs-tui secret show token` prints (header Authorization{elsewhere})")
    return f"missing or wrong proof: prove the request {', or '.join(proofs)}"
