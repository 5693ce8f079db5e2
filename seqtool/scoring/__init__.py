"""Scoring text: nats, and what is reported of them."""
