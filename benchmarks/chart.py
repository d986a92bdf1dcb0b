"""Horizontal bars as SVG, in groups that each have a scale of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, BAR, GAP, HEAD = 760, 190, 18, 6, 30
_OURS, _OTHERS, _TEXT = "#1f6feb", "#9aa4af", "#57606a"


@dataclass(frozen=True)
class Bar:
    """One bar; ``ours`` has another colour."""

    label: str
    value: float
    ours: bool = False


def bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """The picture.

    Args:
        title: above all.
        groups: heading and bars of each.
    """
    parts, y = [], 28
    parts.append(_text(0, y, title, size=16, bold=True))
    for heading, group in groups:
        y += HEAD
        parts.append(_text(0, y, heading, size=13, bold=True))
        y += 10
        largest = max((bar.value for bar in group), default=1.0)
        for bar in group:
            length = max(1.0, (WIDTH - LABELS - 90) * bar.value / largest)
            colour = _OURS if bar.ours else _OTHERS
            parts.append(_text(LABELS - 8, y + 13, bar.label, end=True))
            parts.append(f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>')
            parts.append(_text(LABELS + length + 6, y + 13, f"{bar.value:,.0f}"))
            y += BAR + GAP
    height = y + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 {WIDTH + 24} {height}" width="{WIDTH + 24}" '
        f'height="{height}" font-family="system-ui, sans-serif" role="img" aria-label="{escape(title)}">\n'
        f'<rect x="-12" width="{WIDTH + 24}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, *, size: int = 12, bold: bool = False, end: bool = False) -> str:
    weight, anchor = ' font-weight="600"' if bold else "", ' text-anchor="end"' if end else ""
    return f'<text x="{x:.1f}" y="{y}" font-size="{size}" fill="{_TEXT}"{weight}{anchor}>{escape(text)}</text>'
