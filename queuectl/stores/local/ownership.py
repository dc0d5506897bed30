"""Whose the files of a queue are: those of the folder's owner, also where the superuser makes them.

A file of root's in somebody else's folder would lock its owner out.
"""

import os
import stat
from pathlib import Path


def hand_over(fd: int, folder: Path | str) -> None:
    """Give the file or folder *fd*, just made, opened past no link, to the owner and group of *folder*."""
    if os.geteuid() == 0:  # nobody else makes files that are not the folder's owner's, or could give them away
        _give(fd, os.stat(folder))  # noqa: PTH116 - twice a job: a Path costs as much as the call


def hand_over_socket(path: Path) -> None:
    """Give the socket at *path*, which no descriptor stands for, to the owner and group of its folder."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def hand_over_tree(path: Path, owner: os.stat_result) -> None:
    """Give *path*, and all that is in it, to the owner and group of the folder whose status is *owner*."""
    for one in (path, *path.rglob("*")):
        if not _has_other_name(one.lstat()):
            os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _give(fd: int, owner: os.stat_result) -> None:
    status = os.fstat(fd)
    if not _is_owned(status, owner) and not _has_other_name(status):
        os.fchown(fd, owner.st_uid, owner.st_gid)


def _is_owned(status: os.stat_result, owner: os.stat_result) -> bool:
    return (status.st_uid, status.st_gid) == (owner.st_uid, owner.st_gid)


def _has_other_name(status: os.stat_result) -> bool:
    """Whether a file has been there before, under a name that may be somebody else's."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1
