"""Word vectors: their file, questions to them, and how good they are."""
