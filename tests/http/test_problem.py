import json

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bookcast.http import problem


async def test_a_fault_of_ours_tells_nothing_but_that() -> None:
    """The log has the rest."""
    answer = await problem.on_fault(Request({"type": "http"}), ValueError("secret"))
    assert answer.status_code == 500
    assert b"secret" not in bytes(answer.body)
    assert json.loads(bytes(answer.body))["code"] == "internal_error"


async def test_what_else_the_router_refuses_is_a_problem_as_well() -> None:
    """With its own status and words."""
    answer = await problem.on_http_exception(
        Request({"type": "http"}), HTTPException(400, "Malformed")
    )
    assert answer.status_code == 400
    assert json.loads(bytes(answer.body))["detail"] == "Malformed"
