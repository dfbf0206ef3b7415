"""Errors that are no bugs."""

from __future__ import annotations


class Explained(Exception):
    """Its message is for people: what is wrong and what to do next. A command that ends with one
    prints it; any other exception is a bug of ours."""
