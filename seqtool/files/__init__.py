"""How files are written: aside, flushed, renamed; and tensors with a hash of every byte."""
