"""How several events become one thing to read: what there was in all, then a line for each."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from daemon.clock import wall_now
from daemon.contract import Event, Summary
from daemon.expression import cut, local, money_text, one_line, stars_text
from daemon.people import PeopleSettings
from daemon.placeholders import REFUNDS, price_of, stars_of
from daemon.quantities import span
from sinks._layout import headed
from sinks._placeholders import Field, Topic, label

_LINE_LIMIT = 240
_MOST_RESOURCES = 8
_MOST_CURRENCIES = 8
_MOST_TRIGGERS = 5
_NAMES: dict[Topic, tuple[str, str]] = {
    "purchase": ("purchase", "purchases"),
    "review": ("review", "reviews"),
    "update": ("update", "updates"),
    "publish": ("publication", "publications"),
    "own": ("message of Eventferry", "messages of Eventferry"),
    "other": ("other event", "other events"),
}
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event in a few words; clean text, not yet escaped for any place."""

    text: str
    link: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What people should see of several events; clean text, not yet escaped for any place."""

    title: str
    """One line that says how many, and why they come together."""
    totals: tuple[Field, ...]
    lines: tuple[Line, ...]
    """One for each event, oldest first; a sink shows as many as it has room for, and says how many it left out."""
    occurred_at: datetime
    """Of the newest."""
    key: str
    """The id of the summary, by which a repeat is known."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What a summary needs to know of an event."""

    event: Event
    topic: Topic
    title: str
    item: str
    link: str | None
    price: tuple[Decimal, str] | None
    stars: Decimal | None


@dataclass(slots=True)
class _Sums:
    """What came together, of all events or of one resource."""

    topics: Counter[Topic] = field(default_factory=Counter)
    gross: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    stars: list[Decimal] = field(default_factory=list)

    def add(self, told: _Told) -> None:
        self.topics[told.topic] += 1
        if told.topic == "purchase" and told.price is not None:
            self.gross[told.price[1]] += told.price[0]
        if told.topic == "review" and told.stars is not None:
            self.stars.append(told.stars)

    def counts(self) -> str:
        """`40 purchases, 2 reviews`."""
        return ", ".join(_count(self.topics[topic], *_NAMES[topic]) for topic in _NAMES if self.topics[topic])

    def sales(self) -> str:
        """`399.60 USD, 20.00 EUR`, the largest first."""
        largest = sorted(self.gross.items(), key=lambda sum_: -sum_[1])
        shown = [money_text(amount, currency) for currency, amount in largest[:_MOST_CURRENCIES]]
        return ", ".join([*shown, "…"] if len(largest) > len(shown) else shown)

    def rating(self) -> str:
        """`★★★★☆ 4.3`, the average; empty without ratings."""
        if not self.stars:
            return ""
        average = sum(self.stars, Decimal()) / len(self.stars)
        return f"{stars_text(average)} {average:.1f}"


def summarize(summary: Summary, people: PeopleSettings) -> Overview:
    """Lay a summary out for these readers. Tests have a line of their own, and are counted with nothing."""
    told = [_told(delivery.event, people) for delivery in summary.deliveries]
    moments = [each.event.occurred_at for each in told]
    return Overview(
        title=_title(summary, told, min(moments)),
        totals=tuple(_totals([each for each in told if not each.event.is_test], people)),
        lines=tuple(_line(each, people) for each in told),
        occurred_at=max(moments).astimezone(UTC),
        key=summary.id,
    )


def _told(event: Event, people: PeopleSettings) -> _Told:
    heading = headed(event, people)
    amount, currency = price_of(heading.known)
    price = None if amount is None else (amount, one_line(currency) or people.currency)
    return _Told(
        event=event,
        topic=heading.topic,
        title=heading.title,
        item=heading.item,
        link=heading.link,
        price=price if heading.topic == "purchase" else None,
        stars=stars_of(heading.known) if heading.topic == "review" else None,
    )


def _title(summary: Summary, told: Sequence[_Told], oldest: datetime) -> str:
    sums = _Sums()
    for each in told:
        sums.add(each)
    what = sums.counts() if len(sums.topics) == 1 else f"{len(told):,} events ({sums.counts()})"
    match summary.cause:
        case "digest":
            return f"Digest: {what}"
        case "quiet":
            return f"During quiet hours: {what}"
        case "late":
            age = span(wall_now() - oldest)
            return f"Late, up to {age} old: {what}"
        case "burst":
            return f"Many at once: {what}"


def _totals(told: Sequence[_Told], people: PeopleSettings) -> Iterator[Field]:
    """What the figures say, then when the first and the last of these happened."""
    if not told:
        return
    total, by_item = _Sums(), defaultdict[str, _Sums](_Sums)
    for each in told:
        total.add(each)
        if each.item and each.topic != "own":
            by_item[each.item].add(each)
    for topic, (_, name) in _NAMES.items():
        if number := total.topics[topic]:
            which = _triggers(told) if topic == "other" else ""
            yield Field(name[:1].upper() + name[1:], f"{number:,}{which}")
    if people.audience == "full" and total.topics["purchase"]:
        yield Field("Gross sales", _gross(total, told))
    if total.stars:
        yield Field("Average rating", f"{total.rating()} ({_count(len(total.stars), 'rating', 'ratings')})")
    if by_item:
        yield Field("By resource", "\n".join(_resources(by_item)))
    moments = [each.event.occurred_at for each in told]
    yield Field("Time", _period(min(moments), max(moments), people.timezone))


def _triggers(told: Iterable[_Told]) -> str:
    """` (Coupon redeemed 2, Tip 1)`."""
    counts = Counter(label(each.event.trigger) for each in told if each.topic == "other").most_common()
    shown = [f"{cut(trigger, 40)} {number:,}" for trigger, number in counts[:_MOST_TRIGGERS]]
    return f" ({', '.join([*shown, '…'] if len(counts) > len(shown) else shown)})"


def _gross(total: _Sums, told: Iterable[_Told]) -> str:
    unpriced = sum(each.topic == "purchase" and each.price is None for each in told)
    lacking = f", and {_count(unpriced, 'purchase', 'purchases')} without a price" if unpriced else ""
    return f"{total.sales() or 'none'}{lacking} ({REFUNDS})"


def _resources(by_item: dict[str, _Sums]) -> Iterator[str]:
    most = sorted(by_item.items(), key=lambda entry: -entry[1].topics.total())
    for item, sums in most[:_MOST_RESOURCES]:
        yield f"{cut(item, 60)}: {', '.join(filter(None, (sums.counts(), sums.sales(), sums.rating())))}"
    if len(most) > _MOST_RESOURCES:
        yield f"… {len(most) - _MOST_RESOURCES} more"


def _line(told: _Told, people: PeopleSettings) -> Line:
    """When, what, which, and for how much or with how many stars."""
    when = f"{local(told.event.occurred_at, people.timezone):%m-%d %H:%M}"
    price = (money_text(*told.price) if told.price[0] else "Free") if told.price else ""
    stars = stars_text(told.stars) if told.stars is not None else ""
    return Line(cut(", ".join(filter(None, (f"{when} {told.title}", price, stars))), _LINE_LIMIT), told.link)


def _period(oldest: datetime, newest: datetime, timezone: str) -> str:
    start, end = local(oldest, timezone), local(newest, timezone)
    if start.date() == end.date():
        until = "" if f"{start:%H:%M}" == f"{end:%H:%M}" else f" to {end:%H:%M}"
        return f"{start:%Y-%m-%d %H:%M}{until} {end:%Z}"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M %Z}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
