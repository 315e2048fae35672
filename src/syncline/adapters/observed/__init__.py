"""Calls seen from around them: how long they took and how they ended, told to a meter and a tracer. The code that is called and the
code that calls know nothing of it."""
