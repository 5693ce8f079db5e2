"""`seqtool embed`: one file for each of its commands."""
