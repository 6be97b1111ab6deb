"""Beside a command whose clock is another: `attempts.ASIDE`."""
