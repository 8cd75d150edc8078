"""Every failure a user can meet, by what they can do about it; those worth catching have their own names."""

import errno
import re


class MinebenchError(Exception):
    """One sentence for the user; the command line prints it and exits with `exit_status`."""

    exit_status = 1


class WorkError(MinebenchError):
    """Usage and input were right, but the work failed (network, disk, damaged file)."""


class NotMadeYet(WorkError, FileNotFoundError):
    """An output of an earlier stage is not there: the message names the stage to run."""

    __str__ = Exception.__str__


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


class InputError(MinebenchError, ValueError):
    """Usage or input error: the message names the file, row or field, and what to do."""

    exit_status = 2


class BadRecipe(InputError):
    """recipe.yaml cannot be read or does not fit: the message names its field."""


class UnknownName(InputError):
    """There is no benchmark, model, layout or fold of this name: the message lists those there are."""


# What the machine can refuse, a sentence each: full disks, folders that are closed or gone.


AGAIN = "and run the command again; what is finished stays"
SENTENCES = {
    errno.ENOSPC: "the disk is full: free space, {again}.",
    errno.EDQUOT: "your share of the disk is used up: free space or ask for more, {again}.",
    errno.EFBIG: "a file would grow beyond the largest that is allowed here: raise `ulimit -f`, {again}.",
    errno.EROFS: "it is on a file system that can only be read: make it writable, {again}.",
    errno.EACCES: "you may not write or read it: change its permissions, {again}.",
    errno.EPERM: "the system does not allow it: change its permissions, {again}.",
    errno.ENOENT: "it is not there any more: if the file or its folder was removed, put it back, {again}.",
    errno.ENOTDIR: "its folder is none: put it back, {again}.",
    errno.ESTALE: "the file server lost it: wait until it is back, {again}.",
    errno.EIO: "the disk fails: look into the system's log, {again}.",
    errno.EMFILE: "too many files are open: raise `ulimit -n` or lower workers, {again}.",
}
"""By error number."""
WRITING = ("write", "no space", "file too large", "flush", "failed to read directory")
"""Words by which GDAL, which keeps no number, says that it could not write."""


def explained(error: Exception) -> WorkError | None:
    """A failure of the machine as a sentence; None for what is none."""
    if isinstance(error, MemoryError):
        return OutOfMemory("Memory ran out: lower workers in params.yaml, or tiling.size or sites.buffer_m.")
    number = _number(error)
    if isinstance(error, OSError) and number in SENTENCES:
        return WorkError(f"{_where(error)}: {SENTENCES[number].format(again=AGAIN)}")
    if type(error).__module__.startswith("rasterio") and any(w in str(error).lower() for w in WRITING):
        said = str(error).splitlines()[0].rstrip(".")
        return WorkError(f"GDAL could not write a file ({said}): is the disk full? Free space, {AGAIN}.")
    return None


def _number(error: Exception) -> int | None:
    """The error's number; Arrow tells it in words alone."""
    found = re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)
    return getattr(error, "errno", None) or (int(found[1]) if found else None)


def _where(error: OSError) -> str:
    """The file it is about."""
    name = error.filename2 or error.filename
    found = re.search(r"'([^']+)'", str(error))
    return str(name or (found[1] if found else "A file"))


# What must never be printed or logged.


def redacted(text: str) -> str:
    """Text without what may be secret: queries and users in addresses, tokens and signatures."""
    text = re.sub(r"(\w+://)[^\s/@\"']+@", r"\1", text)
    text = re.sub(r"(\w+://[^\s?\"'<>]+)\?[^\s\"'<>)]*", r"\1", text)
    text = re.sub(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}", r"\1 ***", text)
    return re.sub(r"(?i)\b(sig|token|key|api_key|access_token|password|secret)=[^\s&\"']+", r"\1=***", text)
