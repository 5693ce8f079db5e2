"""Word vectors: their file, queries, evaluation and maps."""
