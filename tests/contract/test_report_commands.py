"""`runxin report` by hand, as a county's clerk uses it: counts, the activity form, needs; each through the command line."""

import csv
import json
import random
from collections import Counter
from io import StringIO

import pytest
from typer.testing import CliRunner

from gateway.cli import app as runxin
from gateway.errors import BadRequest, Denied
from policies.catalogue import load

EXCHANGES = load().exchanges


def run(*given, code=0):
    result = CliRunner().invoke(runxin, ["report", *map(str, given)])
    if isinstance(result.exception, BadRequest | Denied):
        return result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def key(tmp_path):
    result = CliRunner().invoke(runxin, ["keys", "new", "signing", str(tmp_path / "unit.pem")])
    return tmp_path / "unit.pem", result.stdout.strip()


def sheet(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def counts(path, seed, small=None):
    dice, table = random.Random(seed), EXCHANGES["X04"].table
    rows = [[row, *(dice.randint(20, 90) for _ in table.columns)] for row in table.rows]
    if small is not None:
        rows[1][1] = small
    return sheet(path, [["row", *table.columns], *rows])


def published(tmp_path, key, month, **changes):
    options = {"exchange": "X04", "region": "330106", "period": f"2026-{month:02d}", "unit": "某区教育局", **changes}
    return run(
        "publish",
        counts(tmp_path / f"counts-{month}.csv", month, small=3),
        *(word for name, value in options.items() for word in (f"--{name}", value)),
        "--kept",
        tmp_path / "kept",
        "--key",
        key[0],
    )


def test_months_are_published_kept_checked_and_shown(tmp_path, key):
    for month in (9, 10):
        assert json.loads(published(tmp_path, key, month))["small"] == 1
    said = json.loads(run("check", tmp_path / "kept", "--exchange", "X04", "--unit-key", key[1]))
    assert said == {"periods": ["2026-09", "2026-10"], "region": "330106", "verdict": "通过"}
    shown = run("show", tmp_path / "kept" / "2026-10.json", "--exchange", "X04", "--unit-key", key[1])
    rows = list(csv.reader(StringIO(shown)))
    assert rows[0] == ["row", *EXCHANGES["X04"].table.columns, "total"]
    assert Counter(text for row in rows for text in row)["<5"] == 1


def test_a_published_month_is_never_published_again_nor_one_before_it_nor_another_countys(tmp_path, key):
    published(tmp_path, key, 9)
    before = (tmp_path / "kept" / "2026-09.json").read_bytes()
    assert published(tmp_path, key, 9).code == "period_published"
    assert published(tmp_path, key, 8).code == "publication_chain"
    assert published(tmp_path, key, 10, region="330105").code == "publication_chain"
    assert published(tmp_path, key, 10, period="2026").code == "publication_chain"
    assert published(tmp_path, key, 10, exchange="X01").code == "table_undeclared"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["2026-09.json"]
    assert (tmp_path / "kept" / "2026-09.json").read_bytes() == before


def test_a_changed_file_is_found_and_nothing_is_published_upon_it(tmp_path, key):
    published(tmp_path, key, 9)
    file = tmp_path / "kept" / "2026-09.json"
    file.write_bytes(file.read_bytes().replace(b"330106", b"330105"))
    checked = run("check", tmp_path / "kept", "--exchange", "X04", "--unit-key", key[1])
    assert checked.code == "publication_signature"
    assert published(tmp_path, key, 10).code == "publication_signature"


@pytest.mark.parametrize(
    "rows",
    [
        [["row", "low"], ["primary", "12"]],
        [["row", "not_screened", "low", "medium", "high"], ["primary", "1", "2", "3", "=1+1"]],
        [["row", "not_screened", "low", "medium", "high"], ["primary", "1", "2", "3", "-4"]],
        [["row", "not_screened", "low", "medium", "high"], ["primary", "1", "2", "3"]],
        [],
    ],
)
def test_what_is_no_declared_table_is_refused_and_leaves_nothing(tmp_path, key, rows):
    given = sheet(tmp_path / "counts.csv", rows)
    options = ["--exchange", "X04", "--region", "330106", "--period", "2026-09", "--unit", "某区教育局"]
    said = run("publish", given, *options, "--kept", tmp_path / "kept", "--key", key[0])
    assert said.code == "table_undeclared"
    assert not (tmp_path / "kept").exists()


def test_the_activity_form_is_filled_and_read_by_whoever_has_the_units_key(tmp_path, key):
    header = ["place", "sessions", "counselling", "agencies", "visits", "relief_yuan", "children", "problems"]
    rows = [
        ["西湖区", "12", "5", "3", "140", "56000", "88", "40"],
        ["拱墅区", "9", "4", "2", "77", "30500", "51", "22"],
    ]
    figures, form = sheet(tmp_path / "figures.csv", [header, *rows]), tmp_path / "form.xlsx"
    filled = run("form", figures, form, "--unit", "杭州市民政局", "--until", "2026-10-31", "--key", key[0])
    assert json.loads(filled)["places"] == 2
    assert list(csv.reader(StringIO(run("read-form", form, "--unit-key", key[1])))) == [header, *rows]
    other = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"  # RFC 8037, appendix A.2
    assert run("read-form", form, "--unit-key", other).code == "form_signature"
    run("form", figures, form, "--unit", "杭州市民政局", "--until", "2026-10-31", "--key", key[0], code=2)


def needs(path, number, seed=5):
    dice, exchange = random.Random(seed), EXCHANGES["X15"]
    declared = exchange.generalisation
    rows = [
        [
            dice.choice(exchange.fields["need_type"].values[:4]),
            *(dice.choice(exchange.fields[name].values[:2]) for name in declared.groups),
            dice.choice(["330102", "330105"]),
        ]
        for _ in range(number)
    ]
    return sheet(path, [["need_type", *declared.groups, *declared.digits], *rows]), rows


@pytest.mark.parametrize(("outside", "k"), [((), 5), (("--outside",), 20)])
def test_published_needs_leave_nobody_alone_and_only_the_poster_knows_which_is_which(tmp_path, outside, k):
    given, rows = needs(tmp_path / "needs.csv", 300)
    run("needs", given, tmp_path / "out.csv", "--links", tmp_path / "links.csv", *outside)
    (header, *public), (_, *links) = (
        list(csv.reader((tmp_path / name).open(encoding="utf-8"))) for name in ("out.csv", "links.csv")
    )
    assert header[:2] == ["need_id", "need_type"] and len(public) == 300
    assert min(Counter(tuple(row[2:]) for row in public).values()) >= k
    line = {name: int(number) for name, number in links}
    assert all(rows[line[name] - 2][0] == need for name, need, *_ in public)
    assert [line[row[0]] for row in public] != sorted(line.values())


def test_needs_too_few_to_hide_anybody_are_refused_whole(tmp_path):
    given, _ = needs(tmp_path / "needs.csv", 4)
    said = run("needs", given, tmp_path / "out.csv", "--links", tmp_path / "links.csv")
    assert said.code == "k_anonymity"
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "links.csv").exists()
