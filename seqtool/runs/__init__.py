"""The run directory: what training leaves and everything else starts from. One writer, one loader."""
