"""A report as a test sees it: parsed, its text, its pictures and what it would load."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

from PIL import Image

VOID = {"meta", "img", "link", "br", "hr", "input", "line", "rect", "circle", "polyline"}
LOADING = {"src", "href", "srcset", "data", "poster", "action", "xlink:href"}


class HtmlPage(HTMLParser):
    """Parses a whole document.

    Args:
        document: the HTML.

    Attributes:
        mistakes: tags that were closed without having been opened, or the other way round.
        tags: (name, attributes) of every element.
        loads: values of attributes that a browser would fetch.
    """

    def __init__(self, document: str) -> None:
        super().__init__()
        self.mistakes: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.loads: list[str] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self.feed(document)
        self.close()
        self.mistakes += [f"<{tag}> stays open" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.loads += [value for name, value in attrs if name in LOADING]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self._open or self._open.pop() != tag:
            self.mistakes.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if self._open[-1:] != ["style"]:
            self._text.append(data)

    @property
    def text(self) -> str:
        """Everything that is read, with single spaces."""
        return " ".join(" ".join(self._text).split())

    def pictures(self) -> list[Image.Image]:
        """The pictures, decoded in full."""
        found = []
        for tag, attributes in self.tags:
            if tag == "img":
                head, _, content = attributes["src"].partition(";base64,")
                assert head in ("data:image/jpeg", "data:image/png")
                found.append(Image.open(io.BytesIO(base64.b64decode(content, validate=True))).convert("RGB"))
        return found
