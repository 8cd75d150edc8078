"""Every failure a user can meet, by what they can do about it; those worth catching have their own names."""


class MinebenchError(Exception):
    """One sentence for the user; the command line prints it and exits with `exit_status`."""

    exit_status = 1


class WorkError(MinebenchError):
    """Usage and input were right, but the work failed (network, disk, damaged file)."""


class NotMadeYet(WorkError):
    """An output of an earlier stage is not there: the message names the stage to run."""


class Damaged(WorkError):
    """A file is there and is not what was written: its checksum, its form or its cube differs."""


class Unusable(WorkError):
    """Something of a source cannot be used, now or later: gone for good, damaged, or not as it should be."""


class LeakingSplit(WorkError):
    """Sites of two splits lie too near to one another."""


class OutOfMemory(WorkError):
    """Memory ran out: the message names the setting to lower."""


class Lost(WorkError):
    """Those who worked on the sites are gone, and with them all that was under way."""


class InputError(MinebenchError):
    """Usage or input error: the message names the file, row or field, and what to do."""

    exit_status = 2


class BadRecipe(InputError):
    """recipe.yaml cannot be read or does not fit: the message names its field."""


class UnknownName(InputError):
    """There is no benchmark, model, layout or fold of this name: the message lists those there are."""
