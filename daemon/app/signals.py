"""What signals do to a running daemon."""

import asyncio
import os
import signal

from daemon import log

_log = log.get(__name__)


def stop_on_signals(stop_wanted: asyncio.Event) -> None:
    """Let SIGTERM, SIGINT and SIGHUP ask for a stop; a second SIGTERM or SIGINT ends the process at once."""

    def on_signal(number: signal.Signals) -> None:
        if stop_wanted.is_set() and number == signal.SIGHUP:
            return  # kernel and shell may each send one when a terminal closes
        if stop_wanted.is_set():
            _log.warning("daemon.stopped_at_once", signal=number.name)
            log.shutdown()
            os._exit(1)
        _log.info("daemon.stopping", signal=number.name)
        stop_wanted.set()

    under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    for number in (signal.SIGTERM, signal.SIGINT, *(() if under_nohup else (signal.SIGHUP,))):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
