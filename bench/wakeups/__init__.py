"""How fast a change reaches those who wait, and what waiting costs: `python -m bench.wakeups`, or `make bench-wakeups`."""
