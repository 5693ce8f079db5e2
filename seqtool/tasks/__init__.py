"""What a job adds to training: examples to batches, an objective, a validation. One room a task."""
