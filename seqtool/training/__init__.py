"""Learning weights: batches, optimizers, schedules, the loop, checkpoints."""
