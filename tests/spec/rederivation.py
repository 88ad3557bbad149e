"""What happened in the demo, recomputed from everything but its summary.

Each call of a desk, as it was recorded, is tied to its entry of the verified log by the salted digests that only the auditor (or the
receipt's holder) can check; from call, entry, opened envelope and directory follows the row that a truthful summary has.

Rules kept here: nothing of the story's code is imported and the summary is not read; what no source tells is None, never assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapters.sandbox.circles import patient_key
from adapters.sandbox.population import Child, Population
from tests.spec import rederived_care_systems as care
from tests.spec import rederived_systems as systems
from tests.spec.rederived_envelopes import Handed, Recipients
from tests.spec.rederived_joins import finding_columns
from tests.spec.rederived_log import Entry, changed, exported, log_verdict, opened, pinned_vkey, verdict
from tests.spec.rederived_truth import Truth, register_line
from tests.support.recorded import Call, calls, claims

CONSEQUENCES = ("notice.owed", "review.opened")
"""Entries that follow from another one of the same request."""

REFUSED = [
    "purpose",
    "case_missing",
    "region",
    "no_result",
    "consent_withdrawn",
    "child_consent_missing",
    "approval_self",
]
REFUSED += ["officer_key_unknown"]
"""What step e is about, by code and in order."""

SEVENTH = 7
"""The entry of the copy in which one byte is changed, as the story has it."""

EDGES = ("ca", "ed", "he", "yl", "wf")
"""Bodies whose front-end machine stands between gateway and system."""

STEP_OF = {"X02": "a", "X01": "b", "X05": "c", "X13": "d", "X20": "g"}
STEP_OF |= {"X08": "i", "X09": "j", "X10": "k", "X12": "k", "X23": "k", "X18": "l", "X19": "m", "X16": "m"}
"""The step in which an exchange is told; X05 through the emergency door is step f."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. exchange: None where no source tells it. role: of the child, "" where the row is about none, None
    where no source tells who it was.
    """

    step: str
    exchange: str | None
    caller: str
    provider: str
    status: str
    receipt_index: int | None = None
    fields: tuple[str, ...] = ()
    role: str | None = ""
    children: tuple[int, ...] = field(default=(), repr=False)


class Rederivation:
    """All sources of one finished demo, read and tied together. working: a new folder for what the auditor opens."""

    def __init__(self, demo: Path, population: Population, working: Path) -> None:
        self.demo = demo
        self.working = working
        self.truth = Truth(demo, population)
        self.recipients = Recipients(demo)
        self.calls = calls(demo / "capture" / "gateway", demo / "site.toml")
        self.orders = {name: calls(demo / "capture" / f"edge-{name}") for name in EDGES}
        self.exported = exported(demo / "audit-export-five")
        self.entries = opened(demo, working)
        self.education = systems.education(demo / "systems" / "education" / "requests.jsonl")
        self.civil = systems.civil_affairs(demo / "systems" / "civil_affairs" / "pgdata" / "log")
        self.hospital = care.health(demo / "systems" / "health" / "requests.jsonl")
        self.league = care.youth_league(demo / "systems" / "youth_league" / "requests.jsonl")
        self.federation = care.womens_federation(demo / "systems" / "womens_federation")
        self.handed = {
            handed.delivery: handed
            for call in self.calls
            if call.path == "/v1/inbox/take" and call.status == 200
            for handed in self.recipients.taken(call)
        }
        self.entry_of = self._tied()
        self.events = list(self._events())

    @property
    def desk_calls(self) -> list[Call]:
        """Calls of the bodies' own systems, which happened one after the other; edges work beside them."""
        return [call for call in self.calls if call.client.endswith("-system")]

    def _tied(self) -> dict[tuple[int, int], Entry]:
        """Call -> its entry: by the receipt that the answer names, by the entry that an envelope names, or by digest alone."""
        by_receipt = {call.receipt: call for call in self.calls if call.receipt is not None}
        taken = {
            item["receipt"]["index"]: call
            for call in self.calls
            if call.path == "/v1/inbox/take" and call.status == 200
            for item in call.said["envelopes"]
        }
        tied: dict[tuple[int, int], Entry] = {}
        for entry in self.entries:
            if "request" not in entry.skeleton or entry.word("kind") in CONSEQUENCES:
                continue
            call = by_receipt.get(entry.index) or taken.get(entry.index)
            if call is None:
                fitting = (
                    c for c in self.calls if c.place not in tied and c.code == entry.word("code") and entry.is_about(c)
                )
                call = next(fitting, None)
            if call is not None:
                tied[call.place] = entry
        return tied

    # --- who ---------------------------------------------------------------------------------------------------------------

    def named(self, call: Call) -> list[Child | None]:
        """The children that a request names by its department's pseudonyms; None for one that has no file or record there."""
        asked, body = call.asked, call.client.rsplit("-", 1)[0]
        lines = asked.get("lines") or asked.get("envelope", {}).get("lines") or []
        texts = [line.get("subject") for line in lines] if lines else [asked["subject"]] if "subject" in asked else []
        texts = [text["pseudonym"] if isinstance(text, dict) else text for text in texts]
        return [self.truth.child(body, text) for text in texts if text is not None]

    def _about(self, children: Sequence[Child | None]) -> dict[str, Any]:
        known = [child for child in children if child is not None]
        return {
            "role": self.truth.role(known[0]) if len(children) == 1 and known else "",
            "children": tuple(child.number for child in known),
        }

    # --- what --------------------------------------------------------------------------------------------------------------

    def _events(self) -> Iterator[Event]:
        self._told: dict[str, Event] = {}
        self._sent: dict[str, Event] = {}
        self._pages: list[tuple[Any, str]] = []
        happened: list[tuple[int, Call | Entry]] = [*self._in_order(), *self._exports()]
        for _, one in sorted(happened, key=lambda placed: placed[0]):
            yield from self._of_call(one) if isinstance(one, Call) else self._audit(one)

    def _in_order(self) -> Iterator[tuple[int, Call]]:
        """Calls from which something is told, each behind the newest entry that was there before.

        Desks act one after the other, so their calls stand in order; an edge works beside them on connections of its own, and what it
        handed in stands where its entry does.
        """
        acknowledged = {
            call.asked["delivery"]: self.entry_of[call.place].index
            for call in self.calls
            if call.path == "/v1/inbox/acknowledge" and call.place in self.entry_of
        }
        newest = 0
        for call in self.calls:
            entry = self.entry_of.get(call.place)
            asks_for_news = (call.method, call.path) == ("GET", "/v1/deliveries")
            if call.client.endswith("-system") or asks_for_news:
                known = [entry.index] if entry is not None else []
                if asks_for_news:
                    known += [acknowledged.get(row["delivery"], 0) for row in call.said.get("deliveries", ())]
                newest = max([newest, *known])
                yield newest, call
            elif call.path == "/v1/deliveries" and entry is not None:
                yield entry.index, call

    def _exports(self) -> Iterator[tuple[int, Entry]]:
        return ((entry.index, entry) for entry in self.entries if entry.word("kind") == "audit.export")

    def _of_call(self, call: Call) -> Iterator[Event]:
        body = call.client.rsplit("-", 1)[0]
        if call.status == 401:
            yield Event("e", None, body, "", call.code)
            return
        match call.method, call.path:
            case "POST", "/v1/query":
                yield self._question(call)
            case "POST", "/v1/send-permits" if call.status >= 400:
                yield Event("e", call.asked["exchange"], body, "", call.code, **self._about(self.named(call)))
            case "POST", "/v1/deliveries":
                yield from self._handing_in(call)
            case "GET", "/v1/deliveries":
                yield from self._news(call)
            case "POST", "/v1/inbox/take":
                yield from self._opened_inbox(call)
            case "POST", "/v1/cases/approvals" if call.status >= 400:
                yield self._refused_approval(call)
            case "GET", "/v1/reviews":
                yield self._reviews(call)
            case "POST", "/v1/guardians/accesses":
                yield from self._guardians_page(call)
            case "POST", "/v1/pseudonyms/evaluate" if body == "wf":
                # The last of five desks that asked one after the other; the door is blind, so nobody can say about whom.
                yield Event("n", "", "all", "", f"{self.truth.different_names} different", role=None)

    def _question(self, call: Call) -> Event:
        exchange, body = call.asked["exchange"], call.client.removesuffix("-system")
        about = self._about(self.named(call))
        if call.status != 200:
            return Event("e", exchange, body, "", call.code, **about)
        names = {name for line in self.recipients.answered(call) for name in (*line.values, *line.references)}
        provider = self.recipients.body_of[call.said["provider"]]
        return Event(
            STEP_OF[exchange], exchange, body, provider, "released", call.receipt, tuple(sorted(names)), **about
        )

    def _handing_in(self, call: Call) -> Iterator[Event]:
        envelope = call.asked["envelope"]
        body, _, through = call.client.rpartition("-")
        door = next(c.asked["door"] for c in self.calls if c.said.get("permit") == envelope["permit"])
        about = self._about(self.named(call))
        step = "f" if door == "emergency" else STEP_OF[envelope["exchange"]]
        if call.status != 202:
            yield Event(step, envelope["exchange"], body, body, call.code, **about)
            return
        # A department's own system that sends through its edge hears of the delivery, not of the fields.
        lines = envelope["lines"] if through == "system" else []
        names = {name for line in lines for name in (*line["fields"], *line["references"])}
        event = Event(step, envelope["exchange"], body, body, "accepted", call.receipt, tuple(sorted(names)), **about)
        self._told[call.said["delivery"]] = self._sent[call.said["delivery"]] = event
        yield event

    def _news(self, call: Call) -> Iterator[Event]:
        """A sender learns that a delivery was acknowledged; asked again by the league's vendor, that it is still one delivery."""
        rows = call.said["deliveries"]
        learnt = [row for row in rows if row["state"] == "acknowledged" and row["delivery"] in self._told]
        for row in learnt:
            sent = self._told.pop(row["delivery"])
            taker = self.recipients.body_of[row["recipient"]]
            yield Event(sent.step, row["exchange"], taker, sent.caller, "acknowledged", children=sent.children)
            if row["exchange"] == "X08":
                yield self._task_in_the_hospital(sent)
        handed_over = [row for row in rows if row["exchange"] == "X18"]
        if call.client == "yl-edge" and handed_over and not learnt:
            (about,) = {(sent.role, sent.children) for sent in self._sent.values() if sent.exchange == "X18"}
            yield Event("l", "X18", "yl", "yl", f"{len(handed_over)} delivery", role=about[0], children=about[1])

    def _task_in_the_hospital(self, sent: Event) -> Event:
        """The first task that the hospital's own log shows for the child whom the school meant."""
        child = self.truth.population.children[sent.children[0] - 1]
        state = next((state for patient, state in self.hospital.tasks if patient == patient_key(child)), "")
        return Event("i", "X08", "he", "he", f"Task {state}" if state else "no Task", role=self.truth.role(child))

    def _opened_inbox(self, call: Call) -> Iterator[Event]:
        for handed in (one for one in self.handed.values() if self._was_handed_by(call, one)):
            sent = self._told.pop(handed.delivery)
            names = {name for line in handed.lines for name in (*line.values, *line.references)}
            opened = Event(
                sent.step, handed.exchange, handed.taker, handed.sender, "opened", handed.entry, tuple(sorted(names)),
                children=sent.children,
            )  # fmt: skip
            yield opened
            if handed.exchange == "X09":
                told = medical_words(handed)
                yield replace(opened, status="found" if told else "none", receipt_index=None, fields=())
            else:
                yield from self._joins(handed, sent)

    def _joins(self, handed: Handed, sent: Event) -> Iterator[Event]:
        """What the league could find by laying the register beside civil affairs' own, and with a record id left in clear."""
        ours, theirs = self.register(sent.children), [line.row for line in handed.lines]
        found = finding_columns(ours, theirs)
        yield Event("d", handed.exchange, handed.taker, handed.sender, str(len(found)), None, tuple(found))
        planted = [{**row, "plan_id": line["plan_id"]} for row, line in zip(theirs, ours, strict=True)]
        caught = "plan_id" in finding_columns(ours, planted)
        yield Event("d", handed.exchange, handed.taker, handed.sender, "plan_id" if caught else "missed")

    def _was_handed_by(self, call: Call, handed: Handed) -> bool:
        return any(item["delivery"] == handed.delivery for item in call.said.get("envelopes", ()))

    def register(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Civil affairs' own rows of the register about these children."""
        children = [self.truth.population.children[number - 1] for number in numbers]
        return [{"subject": child.civil_key, **register_line(child)} for child in children]

    def _refused_approval(self, call: Call) -> Event:
        subject = claims(call.asked["approval"])["subject"]
        case = next(c for c in self.calls if c.path == "/v1/cases" and c.said.get("case") == subject["case"])
        (exchange,) = subject["exchanges"]
        return Event("e", exchange, call.client.removesuffix("-system"), "", call.code, **self._about(self.named(case)))

    def _reviews(self, call: Call) -> Event:
        body = call.client.removesuffix("-system")
        emergencies = [row for row in call.said["reviews"] if row["kind"] == "emergency"]
        (exchange,) = {row["exchange"] for row in emergencies}
        return Event("f", exchange, body, body, "review opened" if len(emergencies) == 1 else "none")

    def _guardians_page(self, call: Call) -> Iterator[Event]:
        """The second page about a child: whether what came in between shows."""
        before = next((said for said, subject in self._pages if subject == call.asked["subject"]), None)
        self._pages.append((call.said, call.asked["subject"]))
        if before is None:
            return
        about = self._about(self.named(call))
        until = self.entry_of[call.place].index
        between = [
            entry
            for entry in self.entries[:until]
            if entry.word("door") == "protective" and entry.word("kind") == "accepted"
        ]
        status = "no trace" if before == call.said else "trace"
        yield Event("g", between[-1].word("exchange"), call.client.removesuffix("-system"), "", status, **about)

    def _audit(self, export: Entry) -> Iterator[Event]:
        """An export, by its entry; who asked for it, by who named a child last before it. Then the verdicts, made once more."""
        naming = [
            call
            for call in self.desk_calls
            if call.path == "/v1/pseudonyms/evaluate" and self.entry_of[call.place].index < export.index
        ][-1]
        (point,) = export.children
        known = self.children_by_point[point]
        about = self._about([self.truth.population.children[known - 1]])
        auditor, vkey = naming.officer["function"], pinned_vkey(self.demo)
        first = export.index == next(self._exports())[0]
        step, folder = ("h", "audit-export") if first else ("o", "audit-export-five")
        yield Event(step, "", auditor, "", "exported", export.index, **about)
        if first:
            yield Event("h", "", auditor, "", "verified" if log_verdict(self.demo, self.working) else "failed")
        yield Event(step, "", auditor, "", "verified" if verdict(self.demo / folder, vkey)[0] else "failed")
        if first:
            broken = changed(self.demo / folder, self.working / "changed", SEVENTH)
            named = re.search(r"entry \d+", verdict(broken, vkey)[1])
            yield Event("h", "", auditor, "", named[0] if named else "failed")

    @property
    def children_by_point(self) -> Mapping[str, int]:
        """The gateway's own name of a child -> its number, from every entry about one child whose request names it."""
        found: dict[str, int] = {}
        for call in self.calls:
            entry = self.entry_of.get(call.place)
            children = self.named(call) if call.method == "POST" and call.client.endswith("-system") else []
            if entry is not None and len(entry.children) == 1 and len(children) == 1 and children[0] is not None:
                number = found.setdefault(entry.children[0], children[0].number)
                assert number == children[0].number, "one name of the gateway means two children"
        return found


def medical_words(handed: Handed) -> list[str]:
    """Words of a diagnosis, a drug or a ward, as the hospital writes them, in what a recipient opened."""
    text = "|".join(str(value) for line in handed.lines for value in line.row.values())
    names = {name for line in handed.lines for name in line.values}
    return [word for word in care.MEDICAL_WORDS if word in text] + sorted(names & {"diagnosis_code"})


def differences(events: Sequence[Event], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where a summary is not what happened, in words."""
    found = [f"{len(rows)} rows for {len(events)} events"] if len(rows) != len(events) else []
    for number, (event, row) in enumerate(zip(events, rows, strict=False)):
        derived = {
            "step": event.step,
            "exchange": row.get("exchange") if event.exchange is None else event.exchange,
            "caller": event.caller,
            "provider": event.provider,
            "expected": event.status,
            "status": event.status,
            "receipt_index": event.receipt_index,
            "fields": sorted(event.fields),
            "role": row.get("role") if event.role is None else event.role,
        }
        found += [
            f"row {number} ({event.step}): {name} is {row.get(name)!r}, but {value!r} happened"
            for name, value in derived.items()
            if row.get(name) != value
        ]
        found += [f"row {number}: {name} is no member of a summary" for name in row.keys() - derived.keys()]
    return found
