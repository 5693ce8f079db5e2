"""What a machine can do, and what share of that training and generation reach."""
