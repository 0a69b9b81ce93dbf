"""Fixtures that tests of several packages share; only here does pytest let a plugin be named for all of them."""

pytest_plugins = ["streamforge_local.testing"]
