"""Signed routes by their exact path: the same endpoints as the framework's own, and nothing else."""

import pytest

from gateway.api.routes import router, signed_endpoints

pytestmark = pytest.mark.anyio


def test_every_shortcut_is_the_endpoint_of_a_route_that_the_framework_describes():
    routes = {(method, route.path): route.endpoint for route in router.routes for method in route.methods}
    assert {key: routes[key] for key in signed_endpoints} == signed_endpoints
    assert ("POST", "/v1/query") in signed_endpoints
    assert not any("{" in path for _, path in signed_endpoints)


async def test_a_path_in_the_host_header_is_no_part_of_the_path_that_was_proved(walls, ca):
    child = walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    answered = await ca.post("/v1/query", ca.ask(child, case), host="127.0.0.1:8440/elsewhere")
    assert answered.status_code == 200


async def test_a_longer_or_encoded_path_is_not_taken_for_the_short_one(walls, ca):
    for path in ("/v1/query/", "/v1//query", "/v1/query%2F", "/v1/Query"):
        assert (await ca.post(path, {})).status_code == 404
