"""Operating system limits that a gateway needs raised."""

from __future__ import annotations

import resource


def raise_open_files() -> int:
    """Set the soft limit of open files to the hard one, for us and our children; returns what holds now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
