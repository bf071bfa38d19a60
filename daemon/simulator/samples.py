"""Made-up events that look like those of a small shop, from a seed.

No live account was seen: the purchase placeholders called "known" are the ones that licence services document for
BuiltByBit's webhooks; the "guessed" ones, and all of review, update and publish, are plausible inventions. BuiltByBit
says that placeholders change now and then, so nothing may depend on them.
"""

import random
from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["purchase", "review", "update", "publish", "unknown"]
KINDS: tuple[Kind, ...] = ("purchase", "review", "update", "publish", "unknown")
_SHARES = (6, 2, 1, 1, 1)

_TRIGGERS = {
    "known": dict(zip(KINDS, ("purchase", "review", "update", "publish", "coupon_redeemed"), strict=True)),
    "guessed": dict(
        zip(KINDS, ("Resource Purchase", "Resource Review", "Resource Update", "Resource Publish", "Tip"), strict=True)
    ),
}
_PEOPLE = (
    "Marlowe", "pixel_otter", "NordicBuilds", "Kestrel77", "TinaT", "mc_Łukasz", "Zoë", "l33t.larry", "Ünal", "Quartz_",
)  # fmt: skip
_RESOURCES = (
    ("Skyline Economy", "12.99"), ("Dungeon Forge", "24.99"), ("Better Quests & Co.", "9.50"),
    ("Lobby: Ember", "14.00"), ("UltraVotes [1.21]", "6.99"), ("Café Interior Pack", "4.00"),
)  # fmt: skip
_ADDONS = ("Discord bridge", "Extra kits", "Priority support")
_OPINIONS = (
    "Exactly what my server needed, and support answered within the hour.",
    "Works well.\nOnly the config could use more *comments* ;)",
    "Setup took 5 minutes – größtenteils selbsterklärend 👍",
    "@everyone get this while it is on sale! https://example.org/not-a-scam",
    "ok",
)
_NEWS = (
    "Fixes a crash on reload.",
    "Adds 1.21.4 support.\n\n- new GUI\n- faster saving",
    "Translations: Polski, Türkçe",
)


class Samples:
    """An endless supply; the same seed gives the same shop."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._last_number = 1000 * self._random.randint(100, 900)

    def any_kind(self) -> Kind:
        """A kind as often as it comes in life: mostly purchases."""
        return self._random.choices(KINDS, _SHARES)[0]

    def make(self, kind: Kind, names: Literal["known", "guessed"], at: int) -> tuple[str, dict[str, Any]]:
        """The trigger and placeholders of one event at an epoch second; a placeholder without a value is None."""
        person = {"id": self._number(200_000, 900_000), "name": self._random.choice(_PEOPLE)}
        title, price = self._random.choice(_RESOURCES)
        resource = {"id": 40_000 + len(title) * 97, "title": title, "price": price}
        if names == "known":
            return _TRIGGERS[names][kind], _as_text(self._known(kind, person, resource, at))
        return _TRIGGERS[names][kind], self._guessed(kind, person, resource, at)

    def _known(self, kind: Kind, person: dict[str, Any], resource: dict[str, Any], at: int) -> dict[str, Any]:
        common = {
            "user_id": person["id"],
            "username": person["name"],
            "user_url": f"https://builtbybit.com/members/{person['id']}/",
            "resource_id": resource["id"],
            "resource_title": resource["title"],
            "resource_url": f"https://builtbybit.com/resources/{resource['id']}/",
        }
        match kind:
            case "purchase":
                addon = self._random.choice(_ADDONS) if self._random.random() < 0.3 else None
                paid = f"{float(resource['price']) * self._random.choice((1, 1, 1, 0.8, 0.5)):.2f}"
                return common | {
                    "addon_id": 500 + _ADDONS.index(addon) if addon else None,
                    "addon_title": addon,
                    "bundle_id": None,
                    "bundle_title": None,
                    "renewal": "none",
                    "list_price": resource["price"],
                    "final_price": paid,
                    "purchase_date": at,
                }
            case "review":
                return common | {"rating": self._random.randint(2, 5), "review": self._random.choice(_OPINIONS)}
            case "update":
                version = f"2.{self._random.randint(0, 9)}.{self._random.randint(0, 20)}"
                return common | {
                    "version": version,
                    "update_title": f"v{version}",
                    "update": self._random.choice(_NEWS),
                }
            case "publish":
                return common | {"category": "Plugins", "list_price": resource["price"]}
            case "unknown":
                return {"username": person["name"], "coupon": "SUMMER25", "discount": "25"}

    def _guessed(self, kind: Kind, person: dict[str, Any], resource: dict[str, Any], at: int) -> dict[str, Any]:
        common = {"product_title": resource["title"], "product_url": f"https://builtbybit.com/r/{resource['id']}"}
        match kind:
            case "purchase":
                return common | {
                    "purchase_id": self._number(1, 40, rising=True),
                    "purchaser_username": person["name"],
                    "price": float(resource["price"]),
                    "currency": self._random.choice(("USD", "EUR", "GBP")),
                    "date": at,
                    "addon_url": None,
                }
            case "review":
                return common | {
                    "member_username": person["name"],
                    "stars": self._random.choice((2, 3.5, 4, 5)),
                    "message": self._random.choice(_OPINIONS),
                    "response": None,
                }
            case "update":
                return common | {"title": "Maintenance", "message": self._random.choice(_NEWS), "tags": ["fix", "1.21"]}
            case "publish":
                return common | {"free": False, "price": {"value": resource["price"], "currency": "USD"}}
            case "unknown":
                return {}

    def _number(self, low: int, high: int, *, rising: bool = False) -> int:
        if not rising:
            return self._random.randint(low, high)
        self._last_number += self._random.randint(low, high)
        return self._last_number


def _as_text(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else str(value) for name, value in data.items()}
