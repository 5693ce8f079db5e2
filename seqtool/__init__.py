"""seqtool learns from sequences: vocabularies, language models, perplexity and generated text."""

__version__ = "0.1.0"
