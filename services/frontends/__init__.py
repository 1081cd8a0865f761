"""Frontends: one package per bot standard."""
