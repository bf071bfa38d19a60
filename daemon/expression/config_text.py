"""What is text in the config and means something: understood when the config is read, shown as it was written."""

from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema


class ConfigText:
    """Compares, is shown and is stored by its `source`; a subclass says what else it is."""

    __slots__ = ("source",)

    def __init__(self, source: str) -> None:
        """Raises PydanticCustomError with what is wrong with it."""
        self.source = source

    @classmethod
    def require_source(cls, value: Any) -> str:
        """What a config holds here, if it can be understood at all. Raises PydanticCustomError."""
        raise NotImplementedError  # each kind of text understands its own

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfigText) and type(other) is type(self) and other.source == self.source

    def __hash__(self) -> int:
        return hash((type(self), self.source))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda text: text.source, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string"}

    @classmethod
    def _validate(cls, value: Any) -> Self:
        return value if isinstance(value, cls) else cls(cls.require_source(value))
