"""Writing text: sampling, beam search, constraints."""
