"""What a machine can do, and what share of it training and generating reach."""
