"""Why the product cannot start."""


class StartError(Exception):
    """One line for the person at the terminal: what is wrong, where, and what to do about it."""
