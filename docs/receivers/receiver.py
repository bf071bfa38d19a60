#!/usr/bin/env python3
"""Receives Eventferry's webhooks: Python 3.9 or newer, standard library only.

WEBHOOK_SECRETS="whsec_…" python3 receiver.py 8080 /var/lib/receiver

While you change secrets, WEBHOOK_SECRETS holds both, with a space between them. The folder remembers what was handled.
"""

import base64
import hashlib
import hmac
import json
import logging
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRETS = [base64.b64decode(secret[len("whsec_") :]) for secret in os.environ["WEBHOOK_SECRETS"].split()]
PORT, SEEN = int(sys.argv[1]), Path(sys.argv[2])
TOLERANCE = 5 * 60  # seconds that a request may be old, or ahead
LARGEST = 4 * 1024 * 1024  # bytes
lock, under_way = threading.Lock(), set()


def handle(event: dict) -> None:
    """Your part. Raise an exception if it did not work: the event then comes again later."""
    logging.info("handled %s %s", event["event_id"], event["type"])


def is_genuine(headers, body: bytes) -> bool:
    """Whether this was signed with one of our secrets, and lately."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    # The id becomes a file's name below.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", message_id) or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    ours = [b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()) for key in SECRETS]
    theirs = headers.get("webhook-signature", "").encode("latin-1").split()
    return any(hmac.compare_digest(one, other) for one in ours for other in theirs)


class Receiver(BaseHTTPRequestHandler):
    """Answers each POST with a status and nothing else."""

    timeout = 30

    def do_POST(self) -> None:
        """Called by the server for each request."""
        self.send_response(self.receive())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def receive(self) -> int:
        """Check one request and see to it; the status to answer."""
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST:
            return 413
        body = self.rfile.read(int(length))
        return handle_once(self.headers["webhook-id"], body) if is_genuine(self.headers, body) else 401


def handle_once(message_id: str, body: bytes) -> int:
    """Handle an event unless that was done before; the status to answer."""
    with lock:
        if message_id in under_way:
            return 503  # it came again while we are still at it
        under_way.add(message_id)
    try:
        mark = SEEN / message_id
        if not mark.exists():  # else it is a repeat: it was handled, only our answer was lost
            handle(json.loads(body))
            # Killed just here, we would handle it twice. A database can do both in one transaction.
            mark.touch()
    except Exception:
        logging.exception("failed")
        return 500
    else:
        return 204
    finally:
        under_way.discard(message_id)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    SEEN.mkdir(parents=True, exist_ok=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
