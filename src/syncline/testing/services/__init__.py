"""Real services for tests, from wheels: each in a folder of its own, up in a moment, gone with the test run."""
