"""A model one token at a time."""
