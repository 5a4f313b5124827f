"""Units of time: all moments are seconds since 1970 UTC."""

DAY = 86_400
"""Seconds."""
