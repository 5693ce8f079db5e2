"""Using a trained model: scoring text and writing text."""
