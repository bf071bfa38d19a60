<?php
// Receives Eventferry's webhooks: PHP 8.0 or newer, nothing to install. Put it where your web server runs PHP, and set
// WEBHOOK_SECRETS and WEBHOOK_SEEN in the server's configuration. To try it out:
//
//   WEBHOOK_SECRETS="whsec_…" WEBHOOK_SEEN=/var/lib/receiver php -S 127.0.0.1:8080 receiver.php
//
// While you change secrets, WEBHOOK_SECRETS holds both, with a space between them. The folder remembers what was handled,
// and must not lie where the web server shows files.

declare(strict_types=1);

const TOLERANCE = 5 * 60; // seconds that a request may be old, or ahead

/** Your part. Throw if it did not work: the event then comes again later. */
function handle(array $event): void
{
    error_log("handled {$event['event_id']} {$event['type']}");
}

/** Whether this was signed with one of our secrets, and lately. */
function is_genuine(string $id, string $timestamp, string $signatures, string $body): bool
{
    // The id becomes a file's name below.
    if (!preg_match('/^[A-Za-z0-9_-]{1,64}$/D', $id) || !preg_match('/^[0-9]{1,12}$/D', $timestamp)) {
        return false;
    }
    if (abs(time() - (int) $timestamp) > TOLERANCE) {
        return false;
    }
    foreach (explode(' ', getenv('WEBHOOK_SECRETS')) as $secret) {
        $key = base64_decode(substr($secret, strlen('whsec_')), true);
        $ours = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        foreach (explode(' ', $signatures) as $theirs) {
            if (hash_equals($ours, $theirs)) {
                return true;
            }
        }
    }
    return false;
}

function receive(): int
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        return 405;
    }
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $body = file_get_contents('php://input'); // as it came: what $_POST holds was read and changed
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!is_genuine($id, $timestamp, $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '', $body)) {
        return 401;
    }
    return handle_once($id, $body);
}

function handle_once(string $id, string $body): int
{
    $mark = fopen(getenv('WEBHOOK_SEEN') . "/$id", 'c+');
    if ($mark === false || !flock($mark, LOCK_EX | LOCK_NB)) {
        return 503; // it came again while we are still at it, or we may not write there
    }
    if (fread($mark, 1) !== '') {
        return 204; // a repeat: it was handled, only our answer was lost
    }
    try {
        handle(json_decode($body, true, 512, JSON_THROW_ON_ERROR));
    } catch (Throwable $error) {
        error_log("failed $error");
        return 500;
    }
    // Killed just here, we would handle it twice. A database can do both in one transaction.
    fwrite($mark, '.');
    fflush($mark);
    return 204;
}

http_response_code(receive());
