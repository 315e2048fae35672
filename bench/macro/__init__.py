"""Benchmarks of whole services: real processes, real HTTP, a real database. Each ends with one line of JSON."""
