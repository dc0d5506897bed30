"""A job queue that is a folder."""

from queuectl._version import __version__

__all__ = ["__version__"]
