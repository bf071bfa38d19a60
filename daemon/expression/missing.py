"""What an event lacks, as templates see it: nothing that is done with it fails."""

from typing import Any

from jinja2 import ChainableUndefined, Undefined


class Missing(ChainableUndefined):
    """What an event lacks: empty text, an empty list, zero; neither smaller nor larger than anything."""

    __lt__ = __le__ = __gt__ = __ge__ = lambda *_: False  # type: ignore[assignment] # never fails
    __int__ = __float__ = __round__ = __abs__ = lambda *_: 0  # type: ignore[assignment] # as above
    __neg__ = __pos__ = lambda *given: given[0]


class Searched:
    """What stands behind `in`: nothing that is missing is in it, be it a text or a list."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __contains__(self, item: object) -> bool:
        return not isinstance(item, Undefined) and item in self._values
