"""A receiver, as in tests/ingest."""

from tests.ingest.conftest import process, server, shared

__all__ = ["process", "server", "shared"]
