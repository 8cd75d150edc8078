"""Exceptions by what a user can do about them, sentences for system errors, and redaction of secrets."""

import errno
import re


class MinebenchError(Exception):
    """Base of all errors: one sentence for the user. The command line exits with `exit_status`."""

    exit_status = 1


class WorkError(MinebenchError):
    """Usage and input are right, but the work failed (network, disk, damaged file)."""


class NotMadeYet(WorkError, FileNotFoundError):
    """An output of an earlier stage is missing: the message names the stage to run."""

    __str__ = Exception.__str__


class Damaged(WorkError):
    """A file differs from what was written, in checksum or format, or does not fit its cube."""


class Unusable(WorkError):
    """Part of a source can never be used: it is gone, damaged or of an unexpected form."""


class LeakingSplit(WorkError):
    """Sites of two splits are too close to each other."""


class OutOfMemory(WorkError):
    """Out of memory: the message names the setting to lower."""


class Lost(WorkError):
    """Worker processes, or the connection to a Dask cluster, were lost with the work in progress."""


class InputError(MinebenchError, ValueError):
    """Usage or input error: the message names the file, row or field, and the fix."""

    exit_status = 2


class BadRecipe(InputError):
    """recipe.yaml cannot be read or is invalid: the message names the field."""


class UnknownName(InputError):
    """No benchmark, model, layout or fold of this name: the message lists the existing ones."""


# One sentence per system error, such as a full disk or a folder without permissions.


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
"""Sentences by error number."""
WRITING = ("write", "no space", "file too large", "flush", "failed to read directory")
"""Words in GDAL's messages about failed writes; its exceptions have no error number."""


def explained(error: Exception) -> WorkError | None:
    """Return a failure of memory, disk or file system as a WorkError; None for any other error."""
    if isinstance(error, MemoryError):
        return OutOfMemory("Memory ran out: lower workers in params.yaml, or tiling.size or sites.buffer_m.")
    number = _number(error)
    if isinstance(error, OSError) and number in SENTENCES:
        return WorkError(f"{_where(error)}: {SENTENCES[number].format(again=AGAIN)}")
    if type(error).__module__.startswith("rasterio") and any(w in str(error).lower() for w in WRITING):
        reason = str(error).splitlines()[0].rstrip(".")
        return WorkError(f"GDAL could not write a file ({reason}): is the disk full? Free space, {AGAIN}.")
    return None


def _number(error: Exception) -> int | None:
    """Return the error's number; Arrow has it in the message only."""
    match = re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)
    return getattr(error, "errno", None) or (int(match[1]) if match else None)


def _where(error: OSError) -> str:
    """Return the file that the error is about."""
    name = error.filename2 or error.filename
    match = re.search(r"'([^']+)'", str(error))
    return str(name or (match[1] if match else "A file"))


def redacted(text: str) -> str:
    """Return text without possible secrets: user names and queries of addresses, tokens, signatures."""
    text = re.sub(r"(\w+://)[^\s/@\"']+@", r"\1", text)
    text = re.sub(r"(\w+://[^\s?\"'<>]+)\?[^\s\"'<>)]*", r"\1", text)
    text = re.sub(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}", r"\1 ***", text)
    return re.sub(r"(?i)\b(sig|token|key|api_key|access_token|password|secret)=[^\s&\"']+", r"\1=***", text)
