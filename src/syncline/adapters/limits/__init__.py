"""Limiters: one in this process, one that all processes share through Redis."""
