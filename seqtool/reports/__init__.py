"""Drawings of what was learned."""
