"""What making a file may raise.

Tree::

    EmpireError
    ├── RenderFailed    ffmpeg did not finish: its last words are in the message
    └── BadMedia        a file or its timings cannot be used: a voice without sound, timings that do not belong to it
"""

from __future__ import annotations

from affiliate_empire.kernel.errors import EmpireError


class RenderFailed(EmpireError):
    """ffmpeg did not finish its work."""


class BadMedia(EmpireError):
    """A picture, a voice or its timings cannot be used; making them anew is the remedy."""
