"""Word vectors: learned by prediction or by counting, taken from models, queried, judged, drawn and exchanged."""
