"""The settings of a webhook sink, and what is said of those that it refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from sinks.webhook import WebhookSink


def settings(**values: Any) -> WebhookSink.Settings:
    return WebhookSink.Settings.model_validate({"url": "http://127.0.0.1:1/hook"} | values)


def refusal(**values: Any) -> str:
    """The one complaint, which quotes no value."""
    with pytest.raises(ValidationError) as error:
        settings(**values)
    (only,) = error.value.errors(include_input=False, include_url=False)
    assert not any(isinstance(value, str) and len(value) > 8 and value in str(error.value) for value in values.values())
    return only["msg"]
