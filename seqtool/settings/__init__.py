"""Every setting: its name, default, choices and limits; no torch."""
