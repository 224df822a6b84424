"""Which addresses are of this machine, where an authorization server needs no TLS."""

import pytest
from pydantic import ValidationError

from ostler.model.access import OAuthSettings, is_local


def test_plain_http_is_for_this_machine_alone() -> None:
    for local in (
        "http://127.0.0.1:8080/keys",
        "http://localhost",
        "http://[::1]:8080/keys",
        "http://[::1]/",
        "http://LOCALHOST/",
    ):
        assert is_local(local), local
    away = ("http://keys.example/", "http://127.0.0.1:80@keys.example/", "http://localhost:x@keys.example", "http://")
    for address in away:
        assert not is_local(address), address
        with pytest.raises(ValidationError, match="not protected by TLS"):
            OAuthSettings.model_validate({"issuer": address, "resource": "https://ostler.example/mcp"})
