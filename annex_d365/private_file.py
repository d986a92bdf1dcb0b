"""Files that hold personal data: for their owner's eyes only, and where the settings say they are."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MODE = 0o600


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file, which is made if it is not there; its mode is 0600 from now on.

    Whoever may write into the directory could have put a link there, or a file of their own: neither is used. A device,
    such as /dev/null, stays as it is.

    Args:
        path: of the file.
        flags: as for :func:`os.open`; it is emptied, with ``O_TRUNC``, only once it is known to be ours.

    Raises:
        OSError: it cannot be opened, or belongs to somebody else.
    """
    # A link of our own may be followed; one that takes its place in between may not.
    link_flags = 0 if _is_link_of_ours(path) else os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags & ~os.O_TRUNC | os.O_CREAT | os.O_CLOEXEC | link_flags, MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, "it is a link of another user's, or leads in a circle") from None
        raise
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, MODE)  # refused for another user's file
            if flags & os.O_TRUNC:
                os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_link_of_ours(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid()
