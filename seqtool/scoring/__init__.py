"""Scoring text: the nats of its tokens, and the reports and rows made of them."""
