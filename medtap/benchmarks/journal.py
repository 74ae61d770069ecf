"""What a long benchmark has measured so far, kept line by line so that a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medtap.outputs.tables import plain

Entry = dict[str, Any]


class Journal:
    """Entries of JSON by their keys, one a line; a line that a kill cut short is passed over.

    Args:
        path: the file; made at the first entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        entries = [entry for line in lines if (entry := _whole(line)) is not None]
        self._entries: dict[str, Entry] = {entry["key"]: entry for entry in entries}

    def get(self, key: str) -> Entry | None:
        """What was measured under a key."""
        return self._entries.get(key)

    def add(self, key: str, entry: Mapping[str, Any]) -> Entry:
        """Keep an entry under a key, on the disk when this returns; as `get` gives it from now on."""
        kept = plain({"key": key, **entry})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(kept, allow_nan=False)}\n")  # on a line of its own if the last one was cut
            file.flush()
            os.fsync(file.fileno())
        self._entries[key] = kept
        return kept


def key_of(**parts: Any) -> str:
    """Hash over whatever decides an entry."""
    return hashlib.sha256(json.dumps(plain(parts), sort_keys=True).encode()).hexdigest()


def _whole(line: str) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "key" in entry else None
