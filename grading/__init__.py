"""Releasing the fill-in edition and grading what comes back; see README.md in this folder."""
