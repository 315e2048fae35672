"""`ports.presence.Presence`: in this process, and shared between many."""
