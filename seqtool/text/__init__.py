"""From text to ids and back: reading documents, vocabularies, the token store."""
