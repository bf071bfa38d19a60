"""Texts with places to be filled in from an event."""

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from daemon.expression.sandbox import RenderFailed, Sandbox, understand

LONGEST_RESULT = 64 * 1024
"""Characters; what goes beyond is cut off."""
_SANDBOX = Sandbox()


class Template:
    """Text with `{{ … }}` and `{% … %}`, understood when the config is read."""

    __slots__ = ("_compiled", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        code = understand(_SANDBOX, source)
        self._compiled = _SANDBOX.template_class.from_code(_SANDBOX, code, {})

    def render(self, event_values: Mapping[str, Any]) -> str:
        """Fill the template in; what is missing stays empty, at most LONGEST_RESULT characters come out.

        Raises RenderFailed with a sentence when the values do not fit.
        """
        pieces, left = [], LONGEST_RESULT
        try:
            for piece in self._compiled.generate(event_values):
                pieces.append(piece[:left])
                left -= len(pieces[-1])
                if not left:
                    break
        except RenderFailed:
            raise
        except ZeroDivisionError:
            raise RenderFailed("a division by zero") from None
        except Exception as error:  # noqa: BLE001  whatever an operator or a filter makes of odd values
            raise RenderFailed(f"a value does not fit where it is used ({type(error).__name__})") from None
        return "".join(pieces)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda template: template.source, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string"}

    @classmethod
    def _validate(cls, value: Any) -> "Template":
        if isinstance(value, Template):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("template", "must be text, with {{ }} around what the event provides", {})
        return cls(value)
