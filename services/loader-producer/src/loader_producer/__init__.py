"""Loads history from an exchange into a data topic."""
