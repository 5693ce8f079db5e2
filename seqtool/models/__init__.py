"""The core model package: plain torch modules and pure functions, from ids to logits."""
