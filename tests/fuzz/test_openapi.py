"""The OpenAPI document is true, of data that fit it and of data that don't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bookcast.http import openapi
from tests.fuzz.serving import serving
from tests.support import PATIENCE

SCHEMA = schemathesis.openapi.from_dict(json.loads(openapi.document()))
OPERATIONS = {
    operation.label: operation
    for result in SCHEMA.get_all_operations()
    if (operation := result.ok()) is not None  # type: ignore[union-attr] # else it fails here
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Yield the address of a running server."""
    with serving() as running:
        yield running.http_url


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Yield an HTTP session that keeps its connection and uses no proxy."""
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.mark.no_cover
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_names(
    url: str, session: requests.Session, label: str, mode: GenerationMode
) -> None:
    """Its status, its content type and its shape; and it is never a fault of ours."""
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not (
        operation.body or list(operation.iter_parameters())
    ):
        return  # nothing of it can be wrong

    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def holds(case: schemathesis.Case[Any]) -> None:
        response = case.call(base_url=url, session=session, timeout=PATIENCE)
        case.validate_response(
            response,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    holds()


def test_the_document_is_the_one_that_is_served(url: str, session: requests.Session) -> None:
    """What is tested here is what others read."""
    served = session.get(f"{url}/openapi.json", timeout=PATIENCE)
    assert served.content == openapi.document()
