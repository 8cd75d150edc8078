"""What commands ask the user, on a terminal only: elsewhere an InputError names the option."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from minebench.errors import InputError

if TYPE_CHECKING:
    from pipeline.image_folder.contents import Images


def accept_images(images: Images, yes: bool, stage: str = "new") -> None:
    """Print what was understood of own images, and ask about what is not sure. InputError where nobody can be
    asked, or the answer is no."""
    print(f"{stage}: {images.path} holds")
    for what, content in images.table():
        print(f"  {what:9} {content}")
    for doubt in images.unsure:
        print(f"  not sure: {doubt}")
    if not images.unsure or yes:
        return
    if not sys.stdin.isatty():
        raise InputError(
            f"--images: not sure of {images.path}: {'; '.join(images.unsure)}. If that is right, run it "
            "again with --yes; nothing was written."
        )
    if not _confirmed("Is that right?"):
        raise InputError(
            "Nothing was written. docs/sources.md says how files tell their bands, scale and mask."
        )


def accept_repairs(error: InputError) -> None:
    """Ask whether a list is used as it is repaired; where it is not, raise `error`, which says how much that
    changes."""
    if not sys.stdin.isatty():
        raise InputError(f"{str(error).rstrip('.')}, which `minebench new --yes` writes.") from None
    print(f"new: {error}")
    if not _confirmed("Use the list as it is repaired?"):
        raise error


def source(choices: dict[str, str]) -> str:
    """Return the source that the user picks."""
    if not sys.stdin.isatty():
        raise InputError(f"Say where images come from: --source {', '.join(choices)}.")
    from rich.prompt import Prompt

    for name, about in choices.items():
        print(f"  {name:12} {about}")
    return Prompt.ask("Where do images come from?", choices=list(choices))


def _confirmed(question: str) -> bool:
    from rich.prompt import Confirm

    return Confirm.ask(question, default=False)
