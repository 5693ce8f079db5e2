"""Learning word vectors from text: skip-gram, CBOW, GloVe, SVD; and starting a model from vectors."""
