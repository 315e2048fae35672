"""People and devices: passwords, sign-in attempts, tokens, sessions."""
