"""Errors that are the user's to mend."""


class UserError(Exception):
    """A mistake in what the user gave: one sentence naming the file, the value and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """


class Interrupted(Exception):
    """A signal asked the work to stop; its state was saved, and the same command carries on."""
