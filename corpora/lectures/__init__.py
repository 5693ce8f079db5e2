"""Pictures of what lectures say: each file has one, a function of the workshop in which its commands are run."""
