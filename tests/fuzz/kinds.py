"""All kinds of bad input."""

from __future__ import annotations

from fuzz.replies import Replies
from fuzz.settings import Settings
from fuzz.stdin import Stdin

KINDS = (Stdin, Replies, Settings)
