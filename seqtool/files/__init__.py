"""How files are read as they arrive, and written: aside, flushed, renamed; and tensors with a hash of every byte."""
