"""Units of time: all moments are seconds since 1970 UTC."""

DAY = 86_400
"""Seconds."""

UNDATED = -(2**63)
"""The time of what has no date, the least int64: it exists at every time."""
