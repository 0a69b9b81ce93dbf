"""Access tokens: long random passwords of a user, each with a name and an end, which can be taken back one by one."""

import hashlib
import hmac
import secrets
from typing import Self

import msgspec

_VERSION = "v1"


class Token(msgspec.Struct, frozen=True):
    """What is stored of a token: not the token itself, but a digest of it. It is random, so no salt is needed."""

    id: int
    name: str
    created_at: int
    """Unix seconds."""
    valid_until: int
    """Unix seconds."""
    fingerprint: str
    digest: str

    @classmethod
    def make(cls, token_id: int, name: str, user: str, created_at: int, valid_until: int) -> tuple[Self, str]:
        """Make a token; returns what is stored, and the token, which is told once only."""
        token = f"{_VERSION}.{user.encode().hex()}{secrets.token_hex(32)}"
        fingerprint = f"{_VERSION}...{token[-6:]}"
        return cls(token_id, name, created_at, valid_until, fingerprint, _digest(token)), token

    def is_active(self, now: float) -> bool:
        """Whether it still opens the door."""
        return now < self.valid_until

    def fits(self, token: str) -> bool:
        """Whether this is it."""
        return hmac.compare_digest(_digest(token), self.digest)


def is_token(password: str) -> bool:
    """Tell whether a password looks like a token."""
    return password.startswith(f"{_VERSION}.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
