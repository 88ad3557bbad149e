"""The pages of the documentation as tests read them: headings, code blocks, links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(r"(?:<!-- runnable: (?P<where>\w+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)\n```", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block. where: what it is run against (`demo`, `alone`), None for one that is only shown."""

    page: Path
    language: str
    text: str
    where: str | None

    @property
    def name(self) -> str:
        first = self.text.strip().splitlines()[0] if self.text.strip() else ""
        return f"{self.page.name}: {first[:50]}"


def blocks(page: Path) -> list[Block]:
    return [Block(page, m["language"], m["text"], m["where"]) for m in _FENCE.finditer(page.read_text("utf-8"))]


def headings(page: Path) -> list[tuple[int, str]]:
    """(level, text) of every heading outside code."""
    prose = _FENCE.sub("", page.read_text("utf-8"))
    return [(len(m[1]), m[2].strip()) for m in re.finditer(r"^(#+) (.+)$", prose, re.MULTILINE)]


def links(page: Path) -> list[str]:
    return [m["target"] for m in _LINK.finditer(_FENCE.sub("", page.read_text("utf-8")))]


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")
