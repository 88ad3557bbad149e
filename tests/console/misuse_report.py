"""`python -m tests.console.misuse_report`: write `docs/generated/anomaly-rules.md`, precision and recall of the anomaly rules.

A matter is right where at least half of its entries are misuse; an access of misuse is found where some matter holds it. The weeks
are those of `tests/console/misuse.py`; seed 1 was looked at while limits were chosen, the others were not. A test builds the
same text and compares it with the file.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gateway.console.anomalies import Ties, judge, rules
from gateway.flows.calendar_days import DAYS
from tests.console import misuse

PAGE = Path(__file__).parents[2] / "docs" / "generated" / "anomaly-rules.md"
CHOSEN_ON, HELD_OUT = (1,), (2, 3, 4, 5, 6)
END = int(misuse.FIRST.timestamp()) + (misuse.DAYS + 3) * misuse.DAY


@dataclass
class Measured:
    """Counts over some weeks. right, found: by rule and by kind of misuse."""

    accesses: int = 0
    explained: int = 0
    put_forward: int = 0
    matters: Counter = field(default_factory=Counter)
    right: Counter = field(default_factory=Counter)
    misuse: Counter = field(default_factory=Counter)
    found: Counter = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        return self.right.total() / self.matters.total()

    @property
    def recall(self) -> float:
        return self.found.total() / self.misuse.total()


def measured(seeds) -> Measured:
    """The rules on the weeks of these seeds."""
    told = Measured()
    for seed in seeds:
        weeks = misuse.weeks(seed)
        matters = judge(weeks.accesses, weeks.links, DAYS, now=END)
        held = {access.index for matter in matters for access in matter.entries}
        told.accesses += len(weeks.accesses)
        told.put_forward += len(held)
        ties = Ties(weeks.links)
        told.explained += sum(ties.of(access) is not None for access in weeks.accesses)
        for matter in matters:
            wrong = sum(access.index in weeks.misuse for access in matter.entries)
            told.matters[matter.rule.name] += 1
            told.right[matter.rule.name] += 2 * wrong >= len(matter.entries)
        for index, kind in weeks.misuse.items():
            told.misuse[kind] += 1
            told.found[kind] += index in held
    return told


def report() -> str:
    """The page."""
    lines = ["# Anomaly rules · 异常规则", ""]
    lines += [
        "Written by `python -m tests.console.misuse_report`; edit `gateway/console/anomalies.toml`, not this page.",
        "",
    ]
    lines += [
        "Four weeks of work with misuse in them (`tests/console/misuse.py`, committed before the rules). A matter is right where at",
        "least half of its entries are misuse. No rule can see one careful look at a colleague's case, and none pretends to.",
        "",
    ]
    for title, seeds in (
        ("Weeks that were looked at (seed 1)", CHOSEN_ON),
        ("Weeks that were not (seeds 2-6)", HELD_OUT),
    ):
        told = measured(seeds)
        lines += [f"## {title}", ""]
        share = told.put_forward / told.accesses
        lines += [
            f"{told.accesses} accesses, {told.explained / told.accesses:.1%} tied to the reader's office by a case, a visit or a referral.",
            f"Put forward: {told.put_forward} ({share:.1%}) in {told.matters.total()} matters, precision {told.precision:.2f}, recall {told.recall:.2f}.",
            "",
            "| rule | matters | right | precision |",
            "|---|--:|--:|--:|",
        ]
        for name in rules():
            n, right = told.matters[name], told.right[name]
            lines.append(f"| `{name}` | {n} | {right} | {right / n if n else 0:.2f} |")
        lines += ["", "| misuse | accesses | found | recall |", "|---|--:|--:|--:|"]
        for kind in misuse.INCIDENTS:
            n, found = told.misuse[kind], told.found[kind]
            lines.append(f"| {kind} | {n} | {found} | {found / n if n else 0:.2f} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(report(), "utf-8")
    print(report())
