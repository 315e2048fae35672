"""Caches: one in this process, one in Redis that all processes share."""
