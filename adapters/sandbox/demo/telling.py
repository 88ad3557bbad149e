"""What the screen says, in Chinese and English: the story's sentences, progress, and a table of addresses.

Rules kept here: a sentence names departments, exchanges and codes, never a child's name, number or pseudonym.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

SENTENCES = {
    "title": ("润心网关演示", "Runxin Gateway, the demo"),
    "population": ("虚构儿童与家庭", "inventing children and families"),
    "systems": ("启动各部门业务系统", "starting the departmental systems"),
    "gateway": ("启动网关（建库、登记、服务）", "starting the gateway (found, register, serve)"),
    "people": ("登记经办人与审批人", "enrolling officers and approvers"),
    "directory-ca": ("民政前置机：盲化登记名册", "civil affairs edge: enrolling its register, blinded"),
    "directory-ed": ("教育前置机：盲化登记名册", "education edge: enrolling its register, blinded"),
    "directory-he": ("医院前置机：盲化登记名册", "hospital edge: enrolling its register, blinded"),
    "directory-yl": ("共青团前置机：盲化登记名册", "youth league edge: enrolling its register, blinded"),
    "directory-wf": ("妇联前置机：盲化登记名册", "women's federation edge: enrolling its register, blinded"),
    "ready": ("就绪，开始讲述", "ready; the story begins"),
    "a": (
        "民政核验一名儿童是否在校（X02），须有在办个案和审批",
        "Civil affairs asks whether a child is enrolled (X02): open case, signed approval",
    ),
    "b": (
        "教育核验身份（X01），只得到其用途需要的那一类",
        "Education verifies a status (X01) and gets the one class that its purpose needs",
    ),
    "c": (
        "学校上报预警（X05）：未与监护人沟通则拒绝；沟通后密封送达并确认",
        "A school's early warning (X05): refused before the guardian is spoken to; then sealed, delivered, acknowledged",
    ),
    "d": (
        "重点关爱台账（X13）：教育开放假名，共青团封闭假名，无法对接",
        "The care register (X13): open for education, closed for the youth league; nothing joins",
    ),
    "e": ("各种拒绝", "Refusals"),
    "f": (
        "紧急通道（X05）：放行、欠一份告知、生成复核",
        "The emergency door (X05): let through, a notice owed, a review opened",
    ),
    "g": ("保护通道（X20）：监护人页面不留痕迹", "The protective door (X20): no trace on the guardian's page"),
    "h": (
        "审计员：一名儿童的完整历史，证明完整；改一个字节即被发现",
        "The auditor: one child's whole history, proved whole; one changed byte is found",
    ),
    "five": ("另外三个部门登场：医院、12355、12338", "Three more departments: a hospital, 12355, 12338"),
    "i": ("学校转介医院（X08）：在医院成为 FHIR 任务", "A school refers to the hospital (X08): a FHIR task there"),
    "j": ("转介回执（X09）：没有诊断、药品、病区", "The receipt (X09): no diagnosis, no drug, no ward"),
    "k": (
        "出院回归（X10）、随访（X12）、家庭教育派单（X23）",
        "Discharge (X10), follow-up (X12), guidance for the family (X23)",
    ),
    "l": (
        "12355 个案转介（X18）：供应商签名回调，重复不再发送",
        "12355 hands a case over (X18): a signed webhook, sent once",
    ),
    "m": (
        "12338 侵害线索（X19，保护通道）与资源目录（X16）",
        "A harm clue (X19, protective door); the directory of care (X16)",
    ),
    "n": ("同一名儿童，五个部门，五个互不相同的假名", "One child, five departments, five names with nothing in common"),
    "o": (
        "审计员再次导出：该儿童在五个部门之间的历史，证明完整",
        "The auditor once more: that child's history between five departments, proved whole",
    ),
    "done": ("演示结束", "The story is told"),
    "stay": ("各服务保持运行，按 Ctrl+C 结束。", "Everything stays up; Ctrl+C ends it."),
    "expected": ("预期", "expected"),
    "got": ("实际", "got"),
    "address": ("地址", "address"),
    "what": ("服务", "service"),
    "receipt": ("审计序号", "entry"),
    "console": ("控制台（仅本机、仅演示）", "console (loopback and demo only)"),
    "role": ("角色", "role"),
    "account": ("账号", "account"),
    "password": ("口令", "password"),
}


class Teller:
    """Speaks one language. language: `zh` or `en`."""

    def __init__(self, language: str) -> None:
        self._column = 1 if language == "en" else 0
        self.console = Console(highlight=False)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._one_at_a_time = threading.Lock()  # departments are set up side by side

    def text(self, key: str) -> str:
        """A sentence by its key; an unknown key is shown as it is."""
        return SENTENCES[key][self._column] if key in SENTENCES else key

    def title(self) -> None:
        """The first line."""
        self.console.rule(self.text("title"))

    def say(self, key: str) -> None:
        """A plain sentence."""
        self.console.print(self.text(key))

    def chapter(self, step: str) -> None:
        """The heading of a step."""
        self.console.print(f"\n[bold]{step}.[/bold] {self.text(step)}")

    def told(self, what: str, expected: str, status: str, receipt: int | None) -> None:
        """One event of a step and how it ended."""
        good = expected == status
        mark, colour = ("✓", "green") if good else ("✗", "red")
        where = f"  {self.text('receipt')} {receipt}" if receipt is not None else ""
        wrong = "" if good else f"  ({self.text('expected')} {expected})"
        self.console.print(f"   [{colour}]{mark}[/{colour}] {what}: {status}{where}{wrong}")

    def note(self, zh: str, en: str) -> None:
        """A line of explanation."""
        self.console.print(f"     {en if self._column else zh}")

    def progress(self, what: str, done: int, of: int) -> None:
        """Progress of something long."""
        with self._one_at_a_time:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeElapsedColumn(),
                    console=self.console,
                )
                self._progress.start()
            if what not in self._tasks:
                self._tasks[what] = self._progress.add_task(self.text(what), total=of or None)
            self._progress.update(self._tasks[what], completed=done, total=of or None)

    def progress_done(self) -> None:
        """Close the bars."""
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._tasks = None, {}

    def addresses(self, rows: list[tuple[str, str]]) -> None:
        """Where everything listens."""
        table = Table(self.text("what"), self.text("address"))
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def accounts(self, address: str, rows: Sequence[Mapping[str, str]]) -> None:
        """The console and its demo accounts, one per role."""
        table = Table(
            self.text("role"), self.text("account"), self.text("password"), title=f"{self.text('console')}: {address}"
        )
        for row in rows:
            table.add_row(row["role"], row["account"], row["password"])
        self.console.print(table)
