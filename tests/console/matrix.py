"""`python -m tests.console.matrix`: write `docs/generated/console-matrix.md`, who may open which door of the console.

A test builds the same text and compares it with the file.
"""

from pathlib import Path

from gateway.console.doors import doors
from gateway.console.languages import Tongue
from gateway.console.mount import ROOT
from gateway.console.roles import Role

PAGE = Path(__file__).parents[2] / "docs" / "generated" / "console-matrix.md"


def matrix() -> str:
    """Roles by pages and actions, from the doors themselves."""
    import gateway.app  # noqa: F401  (puts every handler behind its door)

    zh, en = Tongue("zh"), Tongue("en")
    roles = list(Role)
    lines = ["# Who may open which door of the console · 控制台权限矩阵", ""]
    lines += ["Written by `python -m tests.console.matrix`; edit `gateway/console/pages`, not this page.", ""]
    lines += ["● may, – is refused with `role_missing`, ○ needs no sign-in.", ""]
    heads = [f"{zh.word('role', role)} {en.word('role', role)}" for role in roles]
    lines += ["| page or action | 页面或操作 | " + " | ".join(heads) + " |", "|---|---" + "|:-:" * len(roles) + "|"]
    for door in doors():
        marks = ["○" if not door.roles else "●" if role in door.roles else "–" for role in roles]
        lines.append(
            f"| `{door.method} {ROOT}{door.path}` {door.does} | {zh.text(door.does)} | " + " | ".join(marks) + " |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(matrix(), "utf-8")
