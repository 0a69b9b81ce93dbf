"""Misbehaviour on demand: `plan` says which request meets which fault, `effects` says what a page then looks like."""
