"""Which ArangoDB is spoken."""

SPOKEN_VERSION = "3.12.4"
"""The ArangoDB whose API this is; drivers choose their calls by it."""
