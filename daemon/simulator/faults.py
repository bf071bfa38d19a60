"""What can be switched on the stand-ins: how the API, a receiver and the mail server behave."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from daemon.simulator.switches import require

Drop = Literal["never", "before", "midway", "after"]
"""When the connection is reset: before the call is processed, in the middle of the answer, or when the call has
taken effect but before the answer."""

Form = Literal[
    "right", "truncated", "html", "empty", "bom", "nan", "deep", "gzip", "drip", "endless", "huge_headers",
    "error_in_200", "data_null", "data_list",
]  # fmt: skip
"""How the body of an answer looks. The last three are envelopes of BuiltByBit that contradict themselves."""

RetryAfter = Literal[
    "ms", "fraction", "missing", "zero", "negative", "huge", "text", "date", "edge", "edge_date",
]  # fmt: skip
"""How a rate limit says how long to wait. The last two come without BuiltByBit's envelope, as from a proxy at the
edge: HTML, with seconds or an HTTP date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How the stand-in for BuiltByBit behaves. The defaults are a healthy day.

    The second half are questions that BuiltByBit's documents leave open; a client must bear either answer.
    """

    scope: Literal["all", "read", "write"] = "all"
    """Which calls are disturbed: GET is a read, POST a write."""
    share: float = 1.0
    """The share (0 to 1) of those calls that `drop`, `error_status` and `answer` hit."""
    times: int | None = None
    """After so many hits the disturbance is over."""
    latency: float = 0.0
    """Seconds before a call is processed."""
    drop: Drop = "never"
    error_status: int | None = None
    """Answered instead of the truth. A 429 or 503 announces a wait of `limit_window`, a 3xx leads to /login."""
    error_code: str = "ServerError"
    error_done: bool = False
    """The call takes effect although it is answered with an error."""
    answer: Form = "right"

    read_limit: int | None = None
    """So many reads per `limit_window`; None is no limit."""
    write_limit: int | None = None
    limit_window: float = 1.0
    """Seconds."""
    retry_after: RetryAfter = "ms"

    ignore_paging: bool = False
    """`page` and `per_page` are not looked at: the first page, 25 events, every time."""
    cap_per_page: int | None = None
    """The page size whatever is asked for, if that is more; with `ignore_paging` the size of the one page."""
    order: Literal["oldest", "newest", "shuffled"] = "oldest"
    stats: Literal["right", "missing", "nonsense", "stale"] = "right"
    """Stale: what has been completed is still counted."""
    repeat_across_pages: bool = False
    """Each page begins with the last event of the page before it."""

    unknown_id: int | None = None
    """Completing an id that is not listed: the status that refuses the whole batch; None ignores the id."""
    bad_ids: tuple[str, ...] = ()
    """Listed, but to be completed they are as unknown as if they were not."""
    repeated_id: int | None = None
    """Completing what is completed already: the status that refuses the whole batch; None agrees."""
    empty_list: int | None = None
    """Completing nothing: the status that refuses it; None agrees."""
    batch_limit: int | None = None
    """More ids than this in one call are refused with 413."""
    relist: int = 0
    """What is completed is listed so many times more."""
    names: Literal["known", "guessed"] = "known"
    """Which trigger and placeholder names later samples use (see samples.py)."""
    blanks: Literal["usual", "null", "omitted", "empty", "zero"] = "usual"
    """How a placeholder without a value appears; usual is "0" for an id and "" for anything else."""
    empty_data: Literal["object", "list"] = "object"
    """An empty `trigger_data` is {} or, as PHP would have it, []."""
    created_at: Literal["seconds", "ms"] = "seconds"
    ids: Literal["int", "str"] = "int"

    def __post_init__(self) -> None:
        require(self, positive=("limit_window", "cap_per_page", "batch_limit"))
        require(self, at_least_0=("latency", "share", "times", "read_limit", "write_limit", "relist"))
        if self.share > 1:
            raise ValueError(f"share must be between 0 and 1, not {self.share}")
        for name in ("error_status", "unknown_id", "repeated_id", "empty_list"):
            _require_status(name, getattr(self, name))

    def applies_to(self, access: str) -> bool:
        """Whether a "read" or a "write" is to be disturbed."""
        return self.scope in ("all", access)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a receiver, Discord webhook or plain one, answers."""

    latency: float = 0.0
    """Seconds before a call is processed."""
    statuses: tuple[int, ...] = ()
    """Answered one per call, in order; 2xx lets the call pass."""
    status: int | None = None
    """Answered once `statuses` are used up; None lets every call pass."""
    retry_after: str = ""
    """The Retry-After header of error answers, as it is (seconds)."""
    edge: bool = False
    """Errors come as from a proxy in front of the receiver: no JSON."""
    drop: Drop = "never"
    hang: bool = False
    """The call is taken, the answer never comes."""
    answer: Form = "right"
    times: int | None = None
    """After so many calls hit by `drop`, `hang` or `answer` these are over."""
    deleted: bool = False
    """Discord only: the webhook is gone (404, code 10015)."""
    thread_gone: bool = False
    """Discord only: calls that name a thread find none (404, code 10003)."""
    global_limit: bool = False
    """Discord only: a 429 says that it goes for all that this address sends."""
    limit: int = 1000
    """So many calls per `limit_window`, then 429; Discord's own is said to be 5 in 2 seconds."""
    limit_window: float = 2.0
    """Seconds."""
    channel_limit: int = 1000
    """Discord only: so many messages per `channel_window`, said by nothing but a 429; Discord's own is 30 in 60 s."""
    channel_window: float = 60.0
    """Seconds."""

    def __post_init__(self) -> None:
        positive = ("limit", "limit_window", "channel_limit", "channel_window")
        require(self, positive=positive, at_least_0=("latency", "times"))
        for status in (*self.statuses, self.status):
            _require_status("status", status)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailBehaviour:
    """How the mail server answers. Replies are whole lines ("451 4.3.0 try later"); a 421 also hangs up."""

    mail: tuple[str, ...] = ()
    """Replies to MAIL FROM, one per command; used up, it is accepted. "" accepts too."""
    rcpt: tuple[str, ...] = ()
    """The same for RCPT TO."""
    recipients: Mapping[str, str] = field(default_factory=dict)
    """The reply to RCPT TO for these addresses, always."""
    data: tuple[str, ...] = ()
    """Replies at the end of DATA."""
    drop: Literal["never", "before", "after"] = "never"
    """The connection is reset at the end of DATA, before or after the mail was taken."""
    hang: bool = False
    """The mail is taken, the reply never comes."""
    times: int | None = None
    """After so many mails hit by `drop` or `hang` these are over."""
    latency: float = 0.0
    """Seconds before the reply to DATA."""
    user: str = ""
    """With a user, nothing is taken without AUTH."""
    password: str = ""

    def __post_init__(self) -> None:
        require(self, at_least_0=("latency", "times"))
        for reply in (*self.mail, *self.rcpt, *self.data, *self.recipients.values()):
            if reply and not (
                reply[:3].isdigit() and reply[3:4] in ("", " ") and reply.isascii() and reply.isprintable()
            ):
                raise ValueError(f'a reply begins with three digits, such as "451 4.3.0 try later", not {reply!r}')


def _require_status(name: str, status: int | None) -> None:
    if status is not None and not 200 <= status <= 599:
        raise ValueError(f"{name} must be an HTTP status from 200 to 599, not {status}")
