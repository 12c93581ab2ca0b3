"""Attacks: ways to make a model say again what it was to forget, one a file."""
