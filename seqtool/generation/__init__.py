"""Writing text: samples, beams, constraints."""
