"""Values that occur nowhere else, and a search that finds them, or parts of them, in whatever form."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import chain
from struct import iter_unpack
from urllib.parse import quote, quote_plus

PART = 12
"""So many characters in a row of a secret are a find."""


class Canaries:
    """Makes a value for each place where a secret can stand, and tells which of them turned up."""

    def __init__(self) -> None:
        self._needles: dict[bytes, list[tuple[bytes, str]]] = {}
        """By their first bytes."""

    def word(self, place: str) -> str:
        """For where only letters and digits may stand."""
        return self._watched(place, base64.b32encode(_noise(place)).decode().rstrip("=")[:36])

    def phrase(self, place: str) -> str:
        """For where anything may stand: with what URLs, JSON, HTML and base64 write in other ways."""
        one, two = _noise(place).hex()[:17], _noise(place + "'").hex()[:18]
        return self._watched(place, f'{one}/+"&{two}\\%<é')

    def encoded(self, place: str) -> str:
        """For where base64 has to stand."""
        return self._watched(place, base64.b64encode(_noise(place)).decode())

    def found_in(self, seen: Mapping[str, bytes]) -> list[str]:
        """Which canary turned up where; each once for a place."""
        found = {}
        for name, data in seen.items():
            for head in self._heads_in(data):
                for needle, place in self._needles[head]:
                    if (at := data.find(needle)) >= 0:
                        found[place, name] = f"{place} in {name}: {data[max(0, at - 100) : at + 60]!r}"
        return list(found.values())

    def _heads_in(self, data: bytes) -> Iterator[bytes]:
        """The first bytes of needles that are there; without a loop in Python, which for megabytes takes long."""
        for shift in range(PART):
            whole = len(data) - (len(data) - shift) % PART
            yield from self._needles.keys() & chain.from_iterable(iter_unpack(f"{PART}s", data[shift:whole]))

    def _watched(self, place: str, value: str) -> str:
        for at in range(len(value) - PART + 1):
            for form in forms(value[at : at + PART]):
                self._needles.setdefault(form[:PART], []).append((form, place))
        return value


def _noise(place: str) -> bytes:
    """Always the same for a place, so that a find can be found again."""
    return sha256(f"canary for {place}".encode()).digest()


def forms(text: str) -> set[bytes]:
    """The ways in which a text could be written by whoever repeats it; each at least as long as the text."""
    raw = text.encode()
    texts = {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        json.dumps(text)[1:-1].replace("/", "\\/"),
        json.dumps(json.dumps(text)[1:-1])[1:-1],
        text.replace("/", "\\"),
        text.replace("\\", "/"),
        "".join(f"\\u{ord(sign):04x}" for sign in text),
        repr(text)[1:-1],
        quote(text),
        quote(text, safe=""),
        quote_plus(text),
        quote(quote(text, safe=""), safe=""),
        "".join(f"%{byte:02x}" for byte in raw),
        raw.hex(),
        *based(raw),
        *(one.replace("+", "-").replace("/", "_") for one in based(raw)),
    }
    small = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), one) for one in texts}
    return {one.encode() for one in texts | small}


def based(raw: bytes) -> Iterator[str]:
    """What base64 of anything that holds these bytes holds, by where in a group of three they begin."""
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + raw + bytes(-(shift + len(raw)) % 3)).decode()
        spoilt_ahead = (0, 2, 3)[shift]
        spoilt_behind = (0, 3, 2)[(shift + len(raw)) % 3]
        yield whole[spoilt_ahead : len(whole) - spoilt_behind]
