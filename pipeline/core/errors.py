"""Every failure a user can meet, by what they can do about it. `pipeline` uses these too."""


class MinebenchError(Exception):
    """One sentence for the user; the command line prints it and exits with `exit_status`."""

    exit_status = 1


class WorkError(MinebenchError):
    """Usage and input were right, but the work failed (network, disk, damaged file)."""


class InputError(MinebenchError):
    """Usage or input error: the message names the file, row or field, and what to do."""

    exit_status = 2
