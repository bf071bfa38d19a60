// Receives Eventferry's webhooks: Node.js 18 or newer, nothing to install.
//
//   WEBHOOK_SECRETS="whsec_…" node receiver.mjs 8080 /var/lib/receiver
//
// While you change secrets, WEBHOOK_SECRETS holds both, with a space between them. The folder remembers what was handled.

import { createHmac, timingSafeEqual } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const SECRETS = process.env.WEBHOOK_SECRETS.split(/\s+/)
  .filter(Boolean)
  .map((secret) => Buffer.from(secret.slice("whsec_".length), "base64"));
const [PORT, SEEN] = [Number(process.argv[2]), process.argv[3]];
const TOLERANCE = 5 * 60; // seconds that a request may be old, or ahead
const LARGEST = 4 * 1024 * 1024; // bytes
const underWay = new Set();

/** Your part. Throw if it did not work: the event then comes again later. */
async function handle(event) {
  console.log("handled", event.event_id, event.type);
}

/** Whether this was signed with one of our secrets, and lately. */
function isGenuine(headers, body) {
  const [id, timestamp] = [headers["webhook-id"] ?? "", headers["webhook-timestamp"] ?? ""];
  // The id becomes a file's name below.
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id) || !/^[0-9]{1,12}$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const ours = SECRETS.map((key) => Buffer.from("v1," + createHmac("sha256", key).update(signed).digest("base64")));
  const theirs = (headers["webhook-signature"] ?? "").split(" ").map((one) => Buffer.from(one));
  return ours.some((one) => theirs.some((other) => one.length === other.length && timingSafeEqual(one, other)));
}

async function receive(request, answer) {
  if (request.method !== "POST") return answer(405);
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > LARGEST) return answer(413);
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  if (!isGenuine(request.headers, body)) return answer(401);
  answer(await handleOnce(request.headers["webhook-id"], body));
}

async function handleOnce(id, body) {
  if (underWay.has(id)) return 503; // it came again while we are still at it
  underWay.add(id);
  try {
    const mark = join(SEEN, id);
    // If it is there, this is a repeat: it was handled, only our answer was lost.
    if (!existsSync(mark)) {
      await handle(JSON.parse(body.toString("utf8")));
      // Killed just here, we would handle it twice. A database can do both in one transaction.
      writeFileSync(mark, "");
    }
    return 204;
  } catch (error) {
    console.error("failed", error);
    return 500;
  } finally {
    underWay.delete(id);
  }
}

mkdirSync(SEEN, { recursive: true });
createServer((request, response) => {
  const answer = (status) => response.writeHead(status, { "Content-Length": 0 }).end();
  receive(request, answer).catch((error) => {
    console.error("failed", error);
    answer(500);
  });
}).listen(PORT, "127.0.0.1");
