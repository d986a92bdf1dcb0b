"""The list of requests seen. It holds no credentials and no bodies."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from typing import Any

from annex_d365_sandbox.wire import Request

#: The oldest entries go first.
CAPACITY = 100_000
_SECRET = re.compile(r"authorization|cookie|token|secret|password|key", re.IGNORECASE)
_IDS = ((re.compile(r"\([^)]*\)"), "(...)"), (re.compile(r"^(/api/3\.0/[^/]+)/[^/]+"), r"\1/{id}"))


class Log:
    """Requests in the order in which they were answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=CAPACITY)

    def add(self, request: Request, *, status: int | None, ms: float, reply_size: int, faults: list[str]) -> None:
        """Note a request; ``status`` is ``None`` where the client got no answer."""
        entry = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "status": status,
            "host": request.headers.get("host", ""),
            "headers": {k: "(hidden)" if _SECRET.search(k) else v for k, v in request.headers.items()},
            "ms": round(ms, 3),
            "request_size": len(request.body),
            "reply_size": reply_size,
            "faults": faults,
        }
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[dict[str, Any]]:
        """All entries."""
        with self._lock:
            return list(self._entries)

    def by_route(self) -> dict[str, int]:
        """How many requests each route saw; ids are left out."""
        counts: Counter[str] = Counter()
        for entry in self.entries():
            path = entry["path"]
            for pattern, replacement in _IDS:
                path = pattern.sub(replacement, path)
            counts[f"{entry['method']} {path}"] += 1
        return dict(counts)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()
