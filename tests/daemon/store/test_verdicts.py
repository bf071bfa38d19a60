"""What came of attempts: the verdict, the proof of what was sent, the counters."""

from datetime import timedelta
from hashlib import sha256

import pytest

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.redaction import remember
from daemon.retry import DEFAULT_WAITS
from daemon.store.verdicts import ANSWER_KEPT, BODY_KEPT, REASON_KEPT
from tests.ledger import NOON, ManualClock, Stores, add, attempted, claim, planned, record, rows, send, story


@pytest.mark.parametrize(
    ("outcome", "name", "state", "reason", "failures", "due"),
    [
        (Delivered("200"), "delivered", "delivered", "200", 0, None),
        (Rejected("HTTP 400"), "rejected", "rejected", "HTTP 400", 0, None),
        (TryLater("HTTP 500"), "try_later", "waiting", "HTTP 500", 1, 5),
        (TryLater("HTTP 429", timedelta(hours=1), throttled=True), "try_later", "waiting", "HTTP 429", 0, 3600),
        (Closed("HTTP 401"), "closed", "waiting", "HTTP 401", 0, 1),
    ],
)
@story
async def test_i4_each_outcome_is_on_record_with_its_time_and_reason(
    make_store: Stores, outcome: Outcome, name: str, state: str, reason: str, failures: int, due: float | None
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await send(store, outcome=outcome, body=b"sent", answer="thanks")
        settled = state != "waiting"
        assert await rows(store, "SELECT outcome, count FROM counters WHERE sink = 'hook'") == [(name, 1)]
        assert await rows(
            store, "SELECT state, reason, failures, claimed_at, settled_at IS NOT NULL, body FROM deliveries"
        ) == [(state, reason, failures, None, int(settled), b"sent")]
        assert await rows(
            store, "SELECT attempt, milliseconds, outcome, reason, body_size, body_digest, answer FROM attempts"
        ) == [(1, 12, name, reason, 4, sha256(b"sent").digest(), "thanks")]
        next_due = (await store.deliveries.claim("hook", limit=1, lease=timedelta(1))).next_due_at
        assert next_due == (None if due is None else NOON + timedelta(seconds=due))


@story
async def test_i4_the_last_failure_gives_a_delivery_up_and_keeps_every_attempt(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        for _ in range(len(DEFAULT_WAITS) + 1):
            assert len(await send(store, outcome=TryLater("HTTP 500"))) == 1
            clock.advance(days=2)
        assert await send(store) == ()
        assert await rows(store, "SELECT state, reason, failures, attempt FROM deliveries") == [
            ("gave_up", "HTTP 500 (attempt 12 was the last)", 12, 12)
        ]
        assert await rows(store, "SELECT count(*), count(DISTINCT attempt) FROM attempts") == [(12, 12)]
        assert await rows(store, "SELECT outcome, sum(count) FROM counters WHERE sink = 'hook' GROUP BY outcome") == [
            ("gave_up", 1),
            ("try_later", 11),
        ]


@story
async def test_the_first_16_kib_of_a_body_are_kept_and_the_size_and_hash_of_all_of_it(make_store: Stores) -> None:
    body = bytes(range(32, 127)) * 1000
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await send(store, body=body, answer="x" * 5000)
        assert await rows(store, "SELECT body FROM deliveries") == [body[: 16 * 1024]]
        assert BODY_KEPT == 16 * 1024
        assert await rows(store, "SELECT body_size, body_digest, length(answer) FROM attempts") == [
            (95_000, sha256(body).digest(), ANSWER_KEPT)
        ]


@story
async def test_i17_secrets_are_replaced_in_all_that_is_kept_wherever_the_cut_falls(make_store: Stores) -> None:
    secret = "s3cret-token-of-the-receiver"
    remember(secret)
    texts = ["", "x" * (BODY_KEPT - 10), "x" * (ANSWER_KEPT - 10), "x" * (REASON_KEPT - 10)]
    async with make_store() as store:
        await add(store, *(planned(number, "hook") for number in range(len(texts))))
        claims = await claim(store)
        for one, text in zip(claims, texts, strict=True):
            leaky = f"{text}{secret} and {secret}"
            await record(store, attempted(one, TryLater(leaky), NOON, body=leaky.encode(), answer=leaky))
        kept = await rows(store, "SELECT reason, body FROM deliveries")
        kept += await rows(store, "SELECT reason, answer FROM attempts")
        everything = b" ".join(part if isinstance(part, bytes) else part.encode() for row in kept for part in row)
        assert b"***" in everything
        assert not any(secret[start : start + 6].encode() in everything for start in range(len(secret) - 6))


@story
async def test_i16_what_no_database_can_hold_does_not_keep_a_verdict_from_being_recorded(make_store: Stores) -> None:
    odd = "half \ud800 and \0"
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await send(store, outcome=Rejected(odd), body=b"\xff\x00\xfe", answer=odd)
        assert await rows(store, "SELECT state, reason, body FROM deliveries") == [
            ("rejected", "half ? and \ufffd", "\ufffd\0\ufffd".encode())
        ]
        assert await rows(store, "SELECT answer, body_digest FROM attempts") == [
            ("half ? and \ufffd", sha256(b"\xff\x00\xfe").digest())
        ]


@story
async def test_the_last_body_that_was_sent_stays_when_a_later_attempt_sent_none(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        for body in (b"first", b"second", b""):
            await send(store, outcome=TryLater("no connection"), body=body)
            clock.advance(hours=1)
        assert await rows(store, "SELECT body FROM deliveries") == [b"second"]
        assert await rows(store, "SELECT body_size, body_digest FROM attempts") == [
            (5, sha256(b"first").digest()),
            (6, sha256(b"second").digest()),
            (0, None),
        ]


@story
async def test_progress_is_given_back_at_the_next_attempt(make_store: Stores, clock: ManualClock) -> None:
    steps = [{"done": ["a@b.example"], "ü": [None, 1.5]}, None, {}]
    seen = []
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"))
        for progress in steps:
            claims = await claim(store)
            seen.append([one.delivery.progress for one in claims])
            await record(store, attempted(claims[0], TryLater("450"), clock(), progress=progress))
            await store.deliveries.unclaim("hook", claims[1:])
            clock.advance(hours=1)
        seen.append([one.delivery.progress for one in await claim(store)])
    # The untouched one is claimed first from the second round on: it fell due earlier.
    assert [sorted(map(str, pair)) for pair in seen] == [
        ["{}", "{}"],
        sorted([str(steps[0]), "{}"]),
        sorted([str(steps[0]), "{}"]),
        ["{}", "{}"],
    ]


@story
async def test_many_verdicts_are_recorded_at_once_each_for_its_own(make_store: Stores, clock: ManualClock) -> None:
    outcomes: list[Outcome] = [Delivered("a"), Rejected("b"), TryLater("c"), Closed("d")] * 25
    async with make_store() as store:
        await add(store, *(planned(number, "hook") for number in range(100)))
        claims = await claim(store)
        made = [attempted(one, outcome, clock()) for one, outcome in zip(claims, outcomes, strict=True)]
        assert await record(store, *made) == 50
        assert await rows(store, "SELECT reason FROM deliveries ORDER BY id") == ["a", "b", "c", "d"] * 25
        assert await rows(store, "SELECT outcome, count FROM counters WHERE sink = 'hook' ORDER BY 1") == [
            ("closed", 25),
            ("delivered", 25),
            ("rejected", 25),
            ("try_later", 25),
        ]


@story
async def test_recording_nothing_is_no_error(make_store: Stores) -> None:
    async with make_store() as store:
        assert await record(store) == 0
