"""Counts that go on learning as they read, and gates that mix them with what other models say."""
