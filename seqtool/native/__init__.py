"""What is written in C, and the one place that loads it."""
