import pytest

from trace_bridge import refused


class BadRequestError(Exception):
    pass


class TooLongError(BadRequestError):
    pass


class HTTPError(Exception):
    def __init__(self, **held):
        super().__init__("it went wrong")
        vars(self).update(held)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BadRequestError("the prompt is too long"), True),
        (TooLongError("the prompt is too long"), True),
        (HTTPError(status_code=422), True),
        (HTTPError(status=413), True),
        (HTTPError(status_code=429), False),
        (HTTPError(status_code=500), False),
        (TimeoutError("no answer"), False),
        (BadRequestError("LLM Provider NOT provided: pass one"), False),
    ],
)
def test_a_refusal_is_told_from_a_provider_that_fails(error, expected):
    assert refused(error) is expected
