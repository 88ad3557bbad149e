"""`python -m tests.console.tour`: write `docs/generated/console-tour.md`, what each page of the console shows, in both languages.

Told by the pages themselves, so the tour cannot grow old: a test reads every page again and compares. Pictures are taken by the browser
tests in the same walk that looks for accessibility (`make screens` puts them into `build/screens/`); they are not kept in the repository.
"""

import re
import sys
import tempfile
from pathlib import Path

from gateway.console.doors import doors
from gateway.console.roles import Role
from tests.console.site import make_site, sign_in, text_of

PAGE = Path(__file__).parents[2] / "docs" / "generated" / "console-tour.md"


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


def tour(browsers) -> str:
    """The page, from signed-in browsers by role."""
    lines = ["# A tour of the console · 控制台导览", ""]
    lines += [
        "Written by `python -m tests.console.tour` from the pages themselves; edit the templates, not this page.",
        "",
    ]
    lines += ["`make screens` takes a picture of every page below, in both languages, into `build/screens/`.", ""]
    for door in (one for one in doors() if one.menu):
        role = next(role for role in Role if role in door.roles)
        zh, en = (shown(browsers[role], door.path, language) for language in ("zh", "en"))
        who = ", ".join(f"`{role}`" for role in Role if role in door.roles)
        lines += [f"## {zh[0]} · {en[0]}", "", f"`/console{door.path}` for {who}.", ""]
        lines += [f"{zh[1]} {en[1]}", ""] if zh[1] else []
        pairs = zip(zh[2], en[2], strict=True)
        lines += [*[f"- {one} · {other}" for one, other in pairs], ""] if zh[2] else []
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> int:
    """Write the page from a site of its own."""
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder))
        with site.running() as client:
            PAGE.write_text(tour({role: sign_in(client, site, role) for role in Role}), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
