"""What learning from pairs of what is read and a text that is written takes: reading, batches, objective, answers."""
