"""No surplus field is on any wire between the five edges and the gateway; whatever is planted there is found and named."""

import shutil

import pytest

from tests.leaks.edge_wires import EDGES, held_back, rewritten, spoke, surplus
from tests.support.recorded import calls

pytestmark = pytest.mark.timeout(900)


def test_five_edges_spoke_and_said_nothing_that_was_not_ordered_or_permitted(told_demo):
    bodies, released, handed_in = spoke(told_demo)
    assert bodies == set(EDGES)
    assert released >= 2
    assert handed_in == 4  # X09, X10, X18, X19
    assert held_back(told_demo)["ed"] > 10  # its system answers with every column that it has
    assert surplus(told_demo) == []


@pytest.fixture
def copy(told_demo, tmp_path):
    """The captures and the register, to be spoilt."""
    for name in ("capture/gateway", *(f"capture/edge-{name}" for name in EDGES)):
        shutil.copytree(told_demo / name, tmp_path / name)
    shutil.copyfile(told_demo / "site.toml", tmp_path / "site.toml")
    return tmp_path


def release_of(demo, name):
    """(file, place) of the first answer of an edge that released a line."""
    folder = demo / "capture" / f"edge-{name}"
    call = next(call for call in calls(folder) if call.said.get("lines"))
    return folder / f"{call.place[0]:06d}.out", call.place[1]


def handed_in_by(demo, name):
    """(file, place) of the first envelope that an edge handed in."""
    recorded = calls(demo / "capture" / "gateway", demo / "site.toml")
    call = next(c for c in recorded if c.client == f"{name}-edge" and (c.method, c.path) == ("POST", "/v1/deliveries"))
    return demo / "capture" / "gateway" / f"{call.place[0]:06d}.in", call.place[1]


def in_line(change):
    return lambda body: change((body.get("envelope") or body)["lines"][0])


PLANTED = {
    "field home_address": in_line(lambda line: line["fields"].update(home_address={"c": "AAAA"})),
    "field diagnosis_code": in_line(lambda line: line["references"].update(diagnosis_code="F32.1")),
    "field ward": in_line(lambda line: line["seal"]["digests"].update(ward="AAAA")),
    "line member notes": in_line(lambda line: line.update(notes="…")),
    "seal member xm": in_line(lambda line: line["seal"].update(xm="…")),
    "member debug": lambda body: (body.get("envelope") or body).update(debug={}),
}


def plant(body):
    for change in PLANTED.values():
        change(body)


@pytest.mark.parametrize("name", ["ca", "ed"])
def test_surplus_in_a_release_is_found_and_named(copy, name):
    rewritten(*release_of(copy, name), plant)
    found = {what for what in surplus(copy) if not what.endswith("without a digest")}
    assert found == {f"{name} /v1/orders: {what}" for what in PLANTED}


@pytest.mark.parametrize("name", ["he", "yl", "wf"])
def test_surplus_in_an_envelope_is_found_and_named(copy, name):
    rewritten(*handed_in_by(copy, name), plant)
    found = {what for what in surplus(copy) if not what.endswith("without a digest")}
    assert found == {f"{name} /v1/deliveries: {what}" for what in PLANTED}


def test_field_of_another_line_s_grant_does_not_pass(copy):
    """Granted for some order is not granted for this one."""
    rewritten(*release_of(copy, "ca"), in_line(lambda line: line["fields"].update(enrolled={"c": "AAAA"})))
    assert "ca /v1/orders: field enrolled" in surplus(copy)


def test_value_left_open_in_a_form_of_its_own_is_found(copy):
    def leave_open(line):
        name = next(iter(line["fields"]))
        line["fields"][name] = {**line["fields"][name], "clear": "…"}

    rewritten(*handed_in_by(copy, "he"), in_line(leave_open))
    assert any(found.startswith("he /v1/deliveries: form of field") for found in surplus(copy))


def test_path_of_an_edge_s_own_is_found(copy):
    for name in ("ca", "he"):
        (copy / f"capture/edge-{name}/999999.in").write_bytes(b"GET /v1/records HTTP/1.1\r\nhost: x\r\n\r\n")
        (copy / f"capture/edge-{name}/999999.out").write_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    assert surplus(copy) == [f"{name} /v1/records: a path of its own" for name in ("ca", "he")]
