"""To and from other programs' formats."""
