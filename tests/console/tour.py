"""`python -m tests.console.tour`: write `docs/generated/console-tour.md`, what each page of the console shows, in both languages, and
the table of screens in `docs/tour.md`.

Told by the pages themselves, so the tour cannot grow old: a test reads every page again and compares. Pictures are taken by the browser
tests in the same walk that looks for accessibility (`make screens` puts them into `build/screens/`); they are not kept in the repository.
"""

import re
import sys
import tempfile
from pathlib import Path

from gateway.console.doors import doors
from gateway.console.languages import Tongue
from gateway.console.roles import Role
from tests.console.site import leave_waiting, make_site, sign_in, text_of

ROOT = Path(__file__).parents[2]
PAGE, TOUR = ROOT / "docs" / "generated" / "console-tour.md", ROOT / "docs" / "tour.md"
BEGINS, ENDS = "<!-- screens: written by python -m tests.console.tour -->", "<!-- screens end -->"
# Pages below the menus, each with an address that exists in the site of the tests.
BELOW = {
    "entry": "/entries/7",
    "exchange": "/catalogue/X02",
    "version_compare": "/versions/compare?before=1&after=1",
    "draft_form": "/drafts/new?rule=X02.ca.q02",
    "finding_form": "/findings/new?entry=12",
    "review_task": "/reviews/rv-waiting",
    "reidentification": "/reidentifications/rr-waiting",
}


def shown(browser, path, language):
    """(title, lead, headings) of a page. Numbers are left out: they are the day's."""
    browser.cookies.set("runxin-look", f"{language}.light", domain="127.0.0.1", path="/console")
    try:
        html = browser.get(f"/console{path}").text
    finally:
        browser.cookies.delete("runxin-look", domain="127.0.0.1", path="/console")
    main = html[html.index("<main") :]
    title = text_of(re.search(r"<h1>(.*?)</h1>", main)[1]).strip()
    lead = re.search(r'<p class="lead">(.*?)</p>', main)
    found = [text_of(one).strip() for one in re.findall(r"<h2[^>]*>(.*?)</h2>", main, re.DOTALL)]
    named = [re.sub(r"\d[\d,]*", "n", one) for one in found if one and not re.search(r"\d{4}", one)]
    return title, text_of(lead[1]).strip() if lead else "", named


def screens():
    """(door, address) of every page that has a screen of its own, in the order of the menus."""
    return [(one, BELOW.get(one.name, one.path)) for one in doors() if one.menu or one.name in BELOW]


def tour(browsers) -> str:
    """The page, from signed-in browsers by role."""
    lines = ["# A tour of the console · 控制台导览", ""]
    lines += [
        "Written by `python -m tests.console.tour` from the pages themselves; edit the templates, not this page.",
        "",
    ]
    lines += ["`make screens` takes a picture of every page below, in both languages, into `build/screens/`.", ""]
    for door, address in screens():
        zh, en = (shown(browsers[_role(door)], address, language) for language in ("zh", "en"))
        who = ", ".join(f"`{role}`" for role in Role if role in door.roles)
        lines += [f"## {zh[0]} · {en[0]}", "", f"`/console{door.path}` for {who}.", ""]
        lines += [f"{zh[1]} {en[1]}", ""] if zh[1] else []
        pairs = zip(zh[2], en[2], strict=True)
        lines += [*[f"- {one} · {other}" for one, other in pairs], ""] if zh[2] else []
    return "\n".join(lines).rstrip("\n") + "\n"


def table(browsers) -> str:
    """Every screen in one line, for the tour of the whole house: its name, its address, what it shows."""
    lines = ["| screen | 页面 | address | what it shows |", "|---|---|---|---|"]
    for door, address in screens():
        browser = browsers[_role(door)]
        _, lead, parts = shown(browser, address, "en")
        lead = "" if door.name == "reidentification" else lead  # it is the request's own reason
        told = " ".join(one for one in (lead, f"Parts: {', '.join(parts)}." if parts else "") if one)
        lines.append(
            f"| {door.does} | {Tongue('zh').text(door.does)} | `/console{door.path}` | {told.replace('|', '/')} |"
        )
    return "\n".join(lines)


def with_table(text: str, made: str) -> str:
    """`docs/tour.md` with its table made anew."""
    before, _, rest = text.partition(BEGINS)
    return f"{before}{BEGINS}\n{made}\n{ENDS}{rest.partition(ENDS)[2]}"


def _role(door) -> Role:
    return next(role for role in Role if role in door.roles and (role is not Role.SYSTEM_ADMIN or len(door.roles) == 1))


def main() -> int:
    """Write both from a site of its own."""
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder))
        leave_waiting(site)
        with site.running() as client:
            browsers = {role: sign_in(client, site, role) for role in Role}
            PAGE.write_text(tour(browsers), "utf-8")
            TOUR.write_text(with_table(TOUR.read_text("utf-8"), table(browsers)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
