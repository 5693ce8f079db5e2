"""What tasks on examples share: reading them into arrays, mini-batches, the objective and validation."""
