"""Pages and pictures of what was learned."""
