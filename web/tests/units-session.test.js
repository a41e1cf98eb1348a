// Who is signed in: what answers that refuse do to that, without a browser.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { load } from "./load.js";

// What a window has, and the module listens to.
const window = new EventTarget();
globalThis.addEventListener = window.addEventListener.bind(window);
globalThis.dispatchEvent = window.dispatchEvent.bind(window);

const { session } = await load("src/lib/session.svelte.ts");
const { call } = await load("src/api/call.ts");

const document = { user: "anna", display: "Anna", by: "session", grants: [], has_second_factor: false, expires: null };
const refused = () => new Response(JSON.stringify({ code: "not_signed_in", title: "Sign in first", status: 401 }), { status: 401, headers: { "Content-Type": "application/problem+json" } });

/** Answers all requests as `answer` says; what they were for is kept. */
function answering(answer) {
  const asked = [];
  globalThis.fetch = async (address) => {
    asked.push(address);
    return answer(address);
  };
  return asked;
}

/** How often one is told that the session has ended: each time that this is said again. */
function notices() {
  const told = [];
  let last = session.expired;
  const look = () => {
    if (session.expired && !last) told.push(session.state);
    last = session.expired;
  };
  return { told, look };
}

beforeEach(() => {
  answering(() => new Response(JSON.stringify({ zone: "Europe/Paris" })));
  session.leave(false);
  session.enter(document);
});

test("several answers that refuse at once lead to one notice, and it stays", async () => {
  const { told, look } = notices();
  answering(refused);
  const requests = ["/plans", "/runs", "/problems", "/overview"].map((path) => call("GET", path).catch((error) => error).finally(look));
  const errors = await Promise.all(requests);
  assert.deepEqual(errors.map((error) => error.code), Array(4).fill("not_signed_in"));
  assert.deepEqual(told, ["out"]);
  assert.equal(session.expired, true, "those after the first one take nothing back");
  assert.equal(session.session, null);
  assert.equal(session.can("see"), false);
});

test("who hasn't been signed in is asked to sign in, and told of no end", async () => {
  session.leave(false);
  answering(refused);
  await Promise.allSettled([call("GET", "/plans"), call("GET", "/runs")]);
  assert.deepEqual([session.state, session.expired], ["out", false]);
});

test("who signs in again is told nothing more, until that session ends as well", async () => {
  answering(refused);
  await call("GET", "/plans").catch(() => undefined);
  assert.equal(session.expired, true);
  answering(() => new Response("{}"));
  session.enter(document);
  assert.deepEqual([session.state, session.expired], ["in", false]);
  answering(refused);
  await Promise.allSettled([call("GET", "/plans"), call("GET", "/runs")]);
  assert.deepEqual([session.state, session.expired], ["out", true]);
});

test("another refusal ends no session, and a server that doesn't answer is none that refuses", async () => {
  answering(() => new Response(JSON.stringify({ code: "forbidden", title: "That takes another right", status: 403 }), { status: 403, headers: { "Content-Type": "application/problem+json" } }));
  await call("GET", "/users").catch(() => undefined);
  assert.equal(session.state, "in");
  answering(() => {
    throw new TypeError("fetch failed");
  });
  await session.ask();
  assert.deepEqual([session.state, session.expired], ["unreachable", false]);
});
