"""What audioroto says when it cannot go on because of what it was given."""


class UserError(ValueError):
    """An input, option or file is at fault: the message says what was wrong, where, and the next step.

    The command line prints it as one line without a traceback and leaves with exit status 2.
    """


class AudioError(UserError):
    """A file or buffer could not be turned into samples; the message names it."""


def printable(name: str) -> str:
    """A name or path as one line that can be printed and written, whatever characters it has."""
    return name if name.isprintable() else repr(name)
