"""One way to show an address: never with its password or a key in its query."""

from __future__ import annotations

import pytest

from vs_tui.model.display import shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ci:s3cret@git.example/acme/api.git", "https://git.example/acme/api.git"),
        ("https://s3cret@git.example/a", "https://git.example/a"),
        ("https://a:p@b:s3cret@host:8443/x?y=1", "https://host:8443/x"),
        ("git@host:acme/api.git", "git@host:acme/api.git"),
        ("/srv/git/api.git", "/srv/git/api.git"),
        ("https://[::1", ""),
        ("", ""),
    ],
)
def test_the_password_is_left_out(url, shown) -> None:
    assert shown_url(url) == shown


def test_user_and_parameters_are_chosen() -> None:
    url = "postgresql://me:s3cret@a,b:5433/db?sslmode=require&sslpassword=s3cret"
    shown = shown_url(url, user=True, parameters={"sslmode"})
    assert shown == "postgresql://me@a,b:5433/db?sslmode=require"
    assert shown_url("http://c:4318/v1?key=s3cret") == "http://c:4318/v1"
