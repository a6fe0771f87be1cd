// The Node library `ws` as a client of ringside at $URL with the token $TOKEN. NODE_EXTRA_CA_CERTS says whom to trust.
const assert = require("node:assert");
const { randomBytes } = require("node:crypto");
const { once } = require("node:events");
const test = require("node:test");
const WebSocket = require("ws");

const { URL: url, TOKEN: token } = process.env;
const authorized = { headers: { Authorization: `Bearer ${token}` } };

async function open(path = "/", protocols = [], options = {}) {
  const client = new WebSocket(url + path, protocols, { perMessageDeflate: false, ...authorized, ...options });
  await once(client, "open");
  return client;
}

async function echo(client, message) {
  client.send(message);
  const [answer, isBinary] = await once(client, "message");
  assert.strictEqual(isBinary, Buffer.isBuffer(message));
  assert.ok(answer.equals(Buffer.from(message)), "another message came back");
}

async function close(client, code, reason) {
  client.close(code, reason);
  return closed(client);
}

async function closed(client) {
  const [code, reason] = await once(client, "close");
  return [code, String(reason)];
}

async function refusal(path, options) {
  const client = new WebSocket(url + path, [], options);
  const [, response] = await once(client, "unexpected-response");
  const body = (await response.toArray()).join("");
  return [response.statusCode, response.headers["ringside-reason"], body];
}

test("text and binary", async () => {
  const client = await open();
  for (const message of ["", "hello", "\u2603".repeat(1000), randomBytes(65536), randomBytes(1 << 20)]) {
    await echo(client, message);
  }
  assert.deepStrictEqual(await close(client, 1000, "bye"), [1000, "bye"]);
});

test("pings reach the app and its pongs come back", async () => {
  const client = await open();
  client.ping("are you there?");
  const [data] = await once(client, "pong");
  assert.strictEqual(String(data), "are you there?");
  client.terminate();
});

test("a close code of the client comes back from the app", async () => {
  assert.deepStrictEqual(await close(await open(), 4321, "enough"), [4321, "enough"]);
});

test("a close code of the app reaches the client", async () => {
  assert.deepStrictEqual(await closed(await open("/close?code=4004")), [4004, "as asked"]);
});

test("the app chooses the subprotocol", async () => {
  const client = await open("/", ["chat.v2", "chat.v1"]);
  assert.strictEqual(client.protocol, "chat.v1");
  await echo(client, "hello");
  client.terminate();
});

test("a token as a subprotocol", async () => {
  const encoded = Buffer.from(token).toString("base64url");
  const protocols = [`base64url.bearer.authorization.k8s.io.${encoded}`, "chat.v1"];
  const client = await open("/", protocols, { headers: {} });
  assert.strictEqual(client.protocol, "chat.v1");
  await echo(client, "hello");
  client.terminate();
});

test("permessage-deflate", async () => {
  const client = await open("/", [], { perMessageDeflate: { threshold: 0 } });
  assert.match(client.extensions, /permessage-deflate/);
  for (const message of ["a".repeat(100_000), randomBytes(100_000), "once more"]) await echo(client, message);
  client.terminate();
});

test("without a token there is a 401", async () => {
  const [status, reason] = await refusal("/", { headers: {} });
  assert.deepStrictEqual([status, reason], [401, "token_missing"]);
});

test("what the app refuses is refused", async () => {
  assert.deepStrictEqual(await refusal("/forbidden", authorized), [403, "app_refused", "not for you\n"]);
});
