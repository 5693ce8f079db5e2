"""Architectures: from token ids to features, one file each."""
