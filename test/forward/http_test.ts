import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { forwardHttp } from "../../src/forward/http.ts";
import type { RequestListener } from "node:http";
import { certificate } from "./certificates.ts";
import { context, freePort, HOST, receive, route, streamPair, tcpTarget } from "./streams.ts";
import { chunked, get, httpStream, httpTarget, post } from "./http_wire.ts";

const MIB = 1024 * 1024;

const authority = await certificate("authority", { authority: true });
const ours = await certificate("ours", { issuer: authority, hosts: ["localhost", HOST] });
const theirs = await certificate("theirs", { issuer: authority, hosts: ["other.example"] });

const base64 = (text: string) => Buffer.from(text).toString("base64");

/** Says what it was asked, and gives the body back. */
const mirror: RequestListener = (request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (chunk: Buffer) => parts.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    response.setHeader("x-asked", `${request.method} ${request.url}`);
    response.setHeader("content-length", body.length);
    response.end(body);
  });
};

for (
  const config of [
    "CONFIG\n",
    "CONFIG\r\n",
    "CONFIG \n",
    "CONFIG verify=true\n",
    "CONFIG colour=blue verify=false\n",
    `CONFIG ca=${base64(authority.certificate)} verify=true\n`,
  ]
) {
  Deno.test(`http: ${JSON.stringify(config.slice(0, 40))} opens a stream of requests`, async () => {
    await using target = await httpTarget(mirror);
    await using http = await httpStream(route("http", { host: HOST, port: target.port }), {
      config,
    });
    await http.client.send(post("/a?b=c", "hello"));
    const answer = await http.client.answer();
    assert.equal(answer.status, 200);
    assert.equal(answer.header("x-asked"), "POST /a?b=c");
    assert.equal(answer.body.toString(), "hello");
    assert.deepEqual(await http.finish(), { bytesIn: 5, bytesOut: 5 });
  });
}

Deno.test("http: a CONFIG line that comes byte by byte is read, and the rest is left alone", async () => {
  await using target = await httpTarget(mirror);
  await using http = await httpStream(route("http", { host: HOST, port: target.port }), {
    config: "C",
  });
  for (const byte of `ONFIG verify=true\n${get("/slow")}`) await http.client.send(byte);
  assert.equal((await http.client.answer()).header("x-asked"), "GET /slow");
  await http.finish();
});

for (
  const [what, config, message] of [
    ["no CONFIG", "GET / HTTP/1.1\n", /gateway: .*does not begin with "CONFIG"/],
    ["a senseless verify", "CONFIG verify=maybe\n", /gateway: .*verify= is neither true nor false/],
    ["a broken ca", "CONFIG ca=****\n", /gateway: .*ca= is not base64/],
    ["a word given twice", "CONFIG verify=true verify=false\n", /gateway: .*given twice/],
    ["no end of line", "x".repeat(300 * 1024), /gateway: .*longer than 262144 bytes/],
  ] as const
) {
  Deno.test(`http: a stream with ${what} is answered with 500 and closed`, async () => {
    await using http = await httpStream(route("http", { host: HOST, port: 1 }), { config });
    const answer = await http.client.answer();
    assert.equal(answer.status, 500);
    assert.equal(answer.header("content-type"), "application/json");
    assert.equal(answer.header("connection"), "close");
    assert.match(answer.message(), message);
    assert.equal((await http.client.rest()).length, 0);
    http.client.stream.end();
    await assert.rejects(http.result, { code: "route-malformed" });
  });
}

Deno.test("http: a CONFIG line that is cut off is answered with 500", async () => {
  await using http = await httpStream(route("http", { host: HOST, port: 1 }), { config: "CONF" });
  http.client.stream.end();
  assert.match((await http.client.answer()).message(), /gateway: .*is cut off/);
  await assert.rejects(http.result, { code: "route-malformed" });
});

Deno.test("http: a client that leaves without a word is no failure", async () => {
  await using pair = await streamPair();
  const result = forwardHttp(pair.server, route("http", { host: HOST, port: 1 }), context());
  pair.client.resume();
  pair.client.end();
  assert.deepEqual(await result, { bytesIn: 0, bytesOut: 0 });
});

Deno.test("http: five requests go over one stream and one connection to the target", async () => {
  await using target = await httpTarget(mirror);
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  for (let i = 0; i < 5; i++) {
    await http.client.send(i % 2 ? post(`/${i}`, `body ${i}`) : get(`/${i}`));
    const answer = await http.client.answer();
    assert.equal(answer.header("x-asked"), `${i % 2 ? "POST" : "GET"} /${i}`);
    assert.equal(answer.body.toString(), i % 2 ? `body ${i}` : "");
    assert.notEqual(answer.header("connection"), "close");
  }
  assert.equal(target.connections, 1);
  await http.finish();
});

Deno.test("http: requests sent all at once are answered in their order", async () => {
  await using target = await httpTarget((request, response) => {
    // The first takes longest.
    const wait = request.url === "/0" ? 50 : 0;
    request.resume();
    setTimeout(() => response.end(`${request.method} ${request.url}`), wait);
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(
    get("/0") + post("/1", "a body") + get("/2") + chunked("/3", ["in ", "parts"]) + get("/4"),
  );
  for (const expected of ["GET /0", "POST /1", "GET /2", "POST /3", "GET /4"]) {
    assert.equal((await http.client.answer()).body.toString(), expected);
  }
  await http.finish();
});

Deno.test("http: answers to requests that end with a half-close arrive", async () => {
  await using target = await httpTarget(mirror);
  for (let i = 0; i < 5; i++) {
    await using http = await httpStream(route("http", { host: HOST, port: target.port }));
    http.client.stream.end(post("/1", "one") + post("/2", "two"));
    assert.equal((await http.client.answer()).body.toString(), "one");
    assert.equal((await http.client.answer()).body.toString(), "two");
    assert.equal((await http.client.rest()).length, 0);
    assert.deepEqual(await http.result, { bytesIn: 6, bytesOut: 6 });
  }
});

Deno.test("http: bodies with a length and in chunks keep their framing both ways", async () => {
  await using target = await httpTarget((request, response) => {
    const { "content-length": length, "transfer-encoding": coding } = request.headers;
    response.setHeader("x-framing", `${length ?? coding}`);
    // Ours keeps what it was given: a length stays one, chunks stay chunks.
    if (length !== undefined) response.setHeader("content-length", length);
    request.pipe(response);
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(post("/", "with a length"));
  const first = await http.client.answer();
  assert.equal(first.header("x-framing"), "13");
  assert.equal(first.header("content-length"), "13");
  assert.equal(first.body.toString(), "with a length");
  await http.client.send(chunked("/", ["in ", "three ", "parts"]));
  const second = await http.client.answer();
  assert.equal(second.header("x-framing"), "chunked");
  assert.equal(second.header("transfer-encoding"), "chunked");
  assert.equal(second.header("content-length"), undefined);
  assert.equal(second.body.toString(), "in three parts");
  await http.client.send(post("/", ""));
  assert.equal((await http.client.answer()).header("x-framing"), "0");
  await http.finish();
});

Deno.test("http: 8 MiB go up and 8 MiB come down, byte for byte, on one stream", async () => {
  const block = Buffer.alloc(64 * 1024, "0123456789abcdef");
  await using target = await httpTarget(async (request, response) => {
    const { size, hash } = await receive(request as never);
    response.writeHead(200, { "x-size": size, "x-hash": hash });
    for (let i = 0; i < 128; i++) {
      block.writeUInt32BE(i, 0);
      if (!response.write(Buffer.from(block))) await once(response, "drain");
    }
    response.end();
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${8 * MIB}\r\n\r\n`,
  );
  const sent = createHash("sha256");
  const expected = createHash("sha256");
  for (let i = 0; i < 128; i++) {
    const up = Buffer.alloc(64 * 1024, `${i} `);
    sent.update(up);
    await http.client.send(up);
    block.writeUInt32BE(i, 0);
    expected.update(block);
  }
  const answer = await http.client.answer();
  assert.equal(answer.header("x-size"), String(8 * MIB));
  assert.equal(answer.header("x-hash"), sent.digest("hex"));
  assert.equal(
    createHash("sha256").update(answer.body).digest("hex"),
    expected.digest("hex"),
  );
  assert.deepEqual(await http.finish(), { bytesIn: 8 * MIB, bytesOut: 8 * MIB });
});

Deno.test("http: bodies are passed on as they come, both ways at once", async () => {
  await using target = await httpTarget((request, response) => {
    response.writeHead(200);
    response.flushHeaders();
    request.pipe(response);
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  const { client } = http;
  await client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  assert.match(await client.head(), /^HTTP\/1\.1 200/);
  for (const word of ["first", "other"]) {
    await client.send(`5\r\n${word}\r\n`);
    assert.equal((await client.take(10)).toString(), `5\r\n${word}\r\n`);
  }
  await client.send("0\r\n\r\n");
  assert.equal((await client.take(5)).toString(), "0\r\n\r\n");
  await http.finish();
});

Deno.test("http: a target that does not read its body stops the client within a few MiB", async () => {
  await using target = await tcpTarget((socket) => void socket.pause());
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
  const chunk = Buffer.alloc(64 * 1024);
  let taken = 0;
  let waiting = false;
  while (taken < 64 * MIB && !waiting) {
    taken += chunk.length;
    if (http.client.stream.write(chunk)) continue;
    waiting = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), 400);
      http.client.stream.once("drain", () => {
        clearTimeout(timer);
        resolve(false);
      });
    });
  }
  assert.ok(taken < 32 * MIB, `${taken} bytes were taken`);
});

Deno.test("http: answers without a body leave the stream in step", async () => {
  await using target = await httpTarget((request, response) => {
    if (request.url === "/204" || request.url === "/304") {
      response.writeHead(Number(request.url.slice(1)));
      return void response.end();
    }
    response.setHeader("content-length", 5);
    response.end(request.method === "HEAD" ? undefined : "hello");
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  for (let round = 0; round < 2; round++) {
    await http.client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    const head = await http.client.answer("HEAD");
    assert.equal(head.header("content-length"), "5");
    for (const status of [204, 304]) {
      await http.client.send(get(`/${status}`));
      assert.equal((await http.client.answer()).status, status);
    }
    await http.client.send(get("/"));
    assert.equal((await http.client.answer()).body.toString(), "hello");
  }
  await http.finish();
});

Deno.test("http: a target's 100 Continue reaches the client before it sends its body", async () => {
  await using target = await httpTarget(mirror);
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  for (let i = 0; i < 2; i++) {
    const [head, body] = post("/", "the body", "Expect: 100-continue").split("\r\n\r\n");
    await http.client.send(`${head}\r\n\r\n`);
    assert.match(await http.client.head(), /^HTTP\/1\.1 100 Continue/);
    await http.client.send(body!);
    const answer = await http.client.answer();
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), "the body");
  }
  await http.finish();
});

Deno.test("http: a target that refuses instead of a 100 Continue ends the stream behind it", async () => {
  await using target = await tcpTarget((socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
    });
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
  );
  const answer = await http.client.answer();
  assert.equal(answer.status, 417);
  assert.equal(answer.body.toString(), "no");
  // Whether what comes next is the body or a request, nobody can say.
  assert.equal(answer.header("connection"), "close");
  assert.equal((await http.client.rest()).length, 0);
});

Deno.test("http: an upgraded stream carries the new protocol both ways until it ends", async () => {
  await using target = await httpTarget(mirror);
  target.server.on("upgrade", (request, socket, head: Buffer) => {
    socket.on("error", () => {});
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n" +
        `Sec-WebSocket-Accept: ${request.headers["sec-websocket-key"]}\r\n\r\nwelcome;`,
    );
    if (head.length > 0) socket.write(head);
    socket.on("data", (chunk: Buffer) => socket.write(chunk));
    socket.on("end", () => socket.end("bye"));
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  const { client } = http;
  await client.send(get("/before"));
  assert.equal((await client.answer()).status, 200);
  await client.send(
    get("/ws", "Connection: keep-alive, Upgrade", "Upgrade: echo", "Sec-WebSocket-Key: abc") +
      "early;",
  );
  const head = await client.head();
  assert.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.match(head, /^upgrade: echo$/im);
  assert.match(head, /^connection: upgrade$/im);
  assert.match(head, /^sec-websocket-accept: abc$/im);
  assert.equal((await client.take(14)).toString(), "welcome;early;");
  const big = Buffer.alloc(MIB, "frame");
  await client.send(big);
  assert.deepEqual(await client.take(MIB), big);
  client.stream.end();
  assert.equal((await client.rest()).toString(), "bye");
  assert.deepEqual(await http.result, { bytesIn: 6 + MIB, bytesOut: 8 + 6 + MIB + 3 });
});

Deno.test("http: an upgrade that the target refuses gets the target's answer", async () => {
  await using target = await httpTarget((_request, response) => {
    response.writeHead(403, { "x-why": "no sockets here" });
    response.end("refused");
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket"));
  const answer = await http.client.answer();
  assert.equal(answer.status, 403);
  assert.equal(answer.header("x-why"), "no sockets here");
  assert.equal(answer.header("connection"), "close");
  assert.equal(answer.body.toString(), "refused");
  http.client.stream.end();
  await http.client.rest();
  await http.result;
});

Deno.test("http: an upgrade to an unreachable target is answered with 500", async () => {
  const port = await freePort();
  await using http = await httpStream(route("http", { host: HOST, port }));
  await http.client.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket"));
  const answer = await http.client.answer();
  assert.equal(answer.status, 500);
  assert.match(answer.message(), /^gateway: failed to reach target .*connection refused/);
  http.client.stream.end();
  await http.result;
});

Deno.test("http: a request for HTTP/2 is served as if it had not asked", async () => {
  await using target = await httpTarget((request, response) => {
    response.end(`${request.headers.upgrade} ${request.headers["http2-settings"]}`);
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(
    get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
  );
  assert.equal((await http.client.answer()).body.toString(), "undefined undefined");
  await http.finish();
});

for (const host of [`https://${HOST}`, "https://localhost"]) {
  const listenAt = host.endsWith("localhost") ? "127.0.0.1" : HOST;

  Deno.test(`http: ${host} is reached when ca= vouches for it`, async () => {
    await using target = await httpTarget(mirror, { identity: ours, host: listenAt });
    await using http = await httpStream(route("http", { host, port: target.port }), {
      config: `CONFIG ca=${base64(authority.certificate)}\n`,
    });
    for (const body of ["one", "two", "x".repeat(300_000)]) {
      await http.client.send(post("/", body));
      assert.equal((await http.client.answer()).body.toString(), body);
    }
    assert.equal(target.connections, 1);
    await http.finish();
  });
}

for (
  const [what, config, identity, works] of [
    ["without a ca", "CONFIG\n", ours, false],
    [
      "with a foreign ca",
      `CONFIG ca=${base64((await certificate("foreign", { authority: true })).certificate)}\n`,
      ours,
      false,
    ],
    [
      "with another name in its certificate",
      `CONFIG ca=${base64(authority.certificate)}\n`,
      theirs,
      false,
    ],
    ["without a ca, verify=false", "CONFIG verify=false\n", ours, true],
    [
      "with another name, verify=false",
      `CONFIG ca=${base64(authority.certificate)} verify=false\n`,
      theirs,
      true,
    ],
  ] as const
) {
  Deno.test(`http: an https target ${what} is ${works ? "reached" : "refused"}`, async () => {
    let served = 0;
    await using target = await httpTarget((request, response) => {
      served++;
      mirror(request, response);
    }, { identity });
    await using http = await httpStream(
      route("http", { host: `https://${HOST}`, port: target.port }),
      { config },
    );
    await http.client.send(post("/", "secret"));
    const answer = await http.client.answer();
    assert.equal(answer.status, works ? 200 : 500);
    assert.equal(served, works ? 1 : 0);
    if (!works) {
      assert.match(answer.message(), /^gateway: failed to reach target .*TLS with target 127/);
    }
    await http.finish();
  });
}

Deno.test("http: an unreachable target is answered with 500 and the stream stays usable", async () => {
  const port = await freePort();
  await using http = await httpStream(route("http", { host: HOST, port }));
  const large = "x".repeat(2 * MIB);
  for (const request of [get("/"), post("/", "body"), post("/", large), chunked("/", ["a", "b"])]) {
    await http.client.send(request);
    const answer = await http.client.answer();
    assert.equal(answer.status, 500);
    assert.equal(answer.header("content-type"), "application/json");
    assert.equal(
      answer.message(),
      "gateway: failed to reach target due to networking error: " +
        `target ${HOST}:${port}: connection refused`,
    );
  }
  await http.finish();
});

Deno.test("http: a target that comes back is reached on the same stream", async () => {
  let dead = true;
  await using target = await tcpTarget((socket) => {
    if (dead) return void socket.resetAndDestroy();
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback"));
    socket.on("end", () => socket.end());
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(post("/", "body"));
  assert.equal((await http.client.answer()).status, 500);
  dead = false;
  await http.client.send(post("/", "body"));
  assert.equal((await http.client.answer()).body.toString(), "back");
  await http.finish();
});

Deno.test("http: a kept connection that the target has closed meanwhile costs no request", async () => {
  await using target = await tcpTarget((socket) => {
    let requests = 0;
    socket.on("data", () => {
      // The second request on a connection meets a target that has just closed it.
      if (++requests > 1) return void socket.resetAndDestroy();
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    socket.on("end", () => socket.end());
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  for (let i = 0; i < 4; i++) {
    await http.client.send(get(`/${i}`));
    assert.equal((await http.client.answer()).body.toString(), "ok");
  }
  await http.client.send(post("/", "must not be sent twice"));
  assert.equal((await http.client.answer()).status, 500);
  await http.finish();
});

for (
  const [what, head] of [
    ["of a known length", "Content-Length: 100\r\n\r\npart"],
    ["in chunks", "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"],
  ] as const
) {
  Deno.test(`http: a target that dies in an answer ${what} breaks the stream`, async () => {
    await using target = await tcpTarget((socket) => {
      socket.once("data", () => socket.write(`HTTP/1.1 200 OK\r\n${head}`));
    });
    await using http = await httpStream(route("http", { host: HOST, port: target.port }));
    await http.client.send(get("/"));
    assert.match(await http.client.head(), /^HTTP\/1\.1 200/);
    await http.client.take(4);
    for (const socket of target.sockets) socket.resetAndDestroy();
    assert.doesNotMatch((await http.client.rest()).toString(), /0\r\n\r\n/);
    await assert.rejects(http.result, { code: "ssh-closed" });
    assert.equal(await http.pair.fate, "reset", "a part must not look like the whole");
  });
}

Deno.test("http: an answer that ends with its connection arrives whole", async () => {
  await using target = await tcpTarget((socket) => {
    socket.once(
      "data",
      () => socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"),
    );
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  for (let i = 0; i < 2; i++) {
    await http.client.send(get("/"));
    assert.equal((await http.client.answer()).body.toString(), "until the end");
  }
  await http.finish();
});

Deno.test("http: a client that goes away in its body breaks the target's request", async () => {
  const outcome = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  await using target = await tcpTarget((socket) => {
    let heard = "";
    socket.on("data", (chunk) => {
      heard += chunk;
      if (heard.includes("half")) begun.resolve();
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => outcome.resolve(heard));
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  await http.client.send("4\r\nhalf\r\n");
  await begun.promise;
  http.client.stream.destroy();
  assert.doesNotMatch(await outcome.promise, /0\r\n\r\n$/, "a part must not look like the whole");
  await assert.rejects(http.result);
});

Deno.test("http: a client that ends in its body does not make it look whole", async () => {
  const outcome = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  await using target = await tcpTarget((socket) => {
    let heard = "";
    socket.on("data", (chunk) => {
      heard += chunk;
      begun.resolve();
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => outcome.resolve(heard));
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  await begun.promise;
  http.client.stream.end("4\r\nhalf\r\n");
  assert.doesNotMatch(await outcome.promise, /0\r\n\r\n$/);
  await http.result.catch(() => {});
});

Deno.test("http: a client that goes away while it waits lets the target's connection go", async () => {
  const asked = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  await using target = await tcpTarget((socket) => {
    socket.once("data", () => asked.resolve());
    socket.once("close", () => gone.resolve());
    socket.on("end", () => socket.end());
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(get("/"));
  await asked.promise;
  http.client.stream.destroy();
  await gone.promise;
  await assert.rejects(http.result);
});

Deno.test("http: fields of one connection end there, all others arrive as they were sent", async () => {
  await using target = await httpTarget((request, response) => {
    response.writeHead(
      200,
      [
        ["Connection", "X-Hop, keep-alive"],
        ["X-Hop", "secret"],
        ["Keep-Alive", "timeout=5"],
        ["Proxy-Authenticate", "Basic"],
        ["Set-Cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["X-Stays", "yes"],
      ].flat(),
    );
    response.end(JSON.stringify(request.rawHeaders));
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(
    get(
      "/",
      "Connection: X-Mine , close-not",
      "X-Mine: secret",
      "TE: trailers",
      "Proxy-Authorization: Basic abc",
      "Keep-Alive: timeout=1",
      "X-Repeated: 1",
      "x-repeated: 2",
      "Authorization: Bearer mine",
    ),
  );
  const answer = await http.client.answer();
  const raw: string[] = JSON.parse(answer.body.toString());
  const got = raw.flatMap((name, i) => i % 2 ? [] : [`${name}: ${raw[i + 1]}`]);
  assert.deepEqual(got.filter((line) => !/^connection/i.test(line)), [
    `Host: ${HOST}:${target.port}`,
    "X-Repeated: 1",
    "x-repeated: 2",
    "Authorization: Bearer mine",
  ]);
  const names = answer.fields.map(([name, value]) => `${name}: ${value}`);
  assert.deepEqual(names.filter((line) => /cookie/i.test(line)), [
    "Set-Cookie: a=1",
    "set-cookie: b=2",
  ]);
  assert.equal(answer.header("x-stays"), "yes");
  assert.equal(answer.header("x-hop"), undefined);
  assert.equal(answer.header("proxy-authenticate"), undefined);
  await http.finish();
});

/** A target that keeps what it hears, and answers each chunk that ends a header section. */
async function listener() {
  let heard = "";
  const target = await tcpTarget((socket) => {
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      if (heard.endsWith("\r\n\r\n")) {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      }
    });
    socket.on("end", () => socket.end());
  });
  return {
    port: target.port,
    heard: () => heard,
    [Symbol.asyncDispose]: () => target[Symbol.asyncDispose](),
  };
}

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

for (
  const [what, lines] of [
    ["a length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"],
    ["two different lengths", "Content-Length: 0\r\nContent-Length: 5\r\n\r\n"],
    ["a list of lengths", "Content-Length: 0, 5\r\n\r\n"],
    ["a negative length", "Content-Length: -1\r\n\r\n"],
    ["a length with a sign", "Content-Length: +5\r\n\r\n"],
    ["a length in hexadecimal", "Content-Length: 0x5\r\n\r\n"],
    ["a coding behind chunked", "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"],
    ["a coding before chunked", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["a misspelt coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
    ["a space before a colon", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"],
    ["a folded coding", "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"],
    ["a bare CR in a value", "X: a\rTransfer-Encoding: chunked\r\n\r\n"],
    ["a zero in a value", "X: a\0b\r\n\r\n"],
  ] as const
) {
  Deno.test(`http: a request with ${what} does not reach the target`, async () => {
    await using target = await listener();
    await using http = await httpStream(route("http", { host: HOST, port: target.port }));
    await http.client.send(`POST / HTTP/1.1\r\nHost: x\r\n${lines}`);
    const answer = await http.client.answer();
    assert.ok(answer.status === 400 || answer.status === 500, `${answer.status}`);
    assert.match(answer.message(), /^gateway: /);
    assert.equal(target.heard(), "");
  });
}

for (
  const [what, body] of [
    ["a size that is none", "xyz\r\nhello\r\n0\r\n\r\n"],
    ["a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"],
    ["a chunk that is longer than it says", `2\r\nhello\r\n0\r\n\r\n${SMUGGLED}`],
    ["a size beyond all bounds", "fffffffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
  ] as const
) {
  Deno.test(`http: a body in chunks with ${what} never looks whole to the target`, async () => {
    await using target = await listener();
    await using http = await httpStream(route("http", { host: HOST, port: target.port }));
    await http.client.send(
      `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    );
    assert.doesNotMatch((await http.client.rest()).toString(), /^HTTP\/1\.1 200/);
    http.client.stream.end();
    await http.result.catch(() => {});
    assert.doesNotMatch(target.heard(), /\r\n0\r\n\r\n/);
    assert.doesNotMatch(target.heard(), /smuggled/);
  });
}

Deno.test("http: the absolute form and a foreign Host still go to the certificate's target", async () => {
  await using target = await httpTarget((request, response) => {
    response.end(`${request.headers.host} ${request.url}`);
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  for (const form of ["http://evil.example:81/a?b", "http://user:word@evil.example/a?b", "/a?b"]) {
    await http.client.send(`GET ${form} HTTP/1.1\r\nHost: evil.example\r\n\r\n`);
    assert.equal(
      (await http.client.answer()).body.toString(),
      `${HOST}:${target.port} /a?b`,
      form,
    );
  }
  await http.finish();
});

Deno.test("http: CONNECT opens no tunnel", async () => {
  await using target = await listener();
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(`CONNECT ${HOST}:${target.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.doesNotMatch((await http.client.rest()).toString(), /^HTTP\/1\.1 2/);
  assert.equal(target.heard(), "");
});

Deno.test("http: a line break in the request target is refused, whatever its spelling", async () => {
  await using target = await listener();
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send("GET /a%0d%0aX:y HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await http.client.answer()).status, 200);
  assert.match(target.heard(), /^GET \/a%0d%0aX:y HTTP\/1\.1\r\n/);
  await http.client.send("GET /a\rb HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await http.client.answer()).status, 400);
});

Deno.test("http: headers beyond 64 KiB are answered with 431, below they arrive", async () => {
  await using target = await httpTarget((request, response) => {
    response.end(String(request.headers["x-long"]?.length));
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }), {});
  await http.client.send(get("/", `X-Long: ${"x".repeat(15_000)}`));
  assert.equal((await http.client.answer()).body.toString(), "15000");
  await http.client.send(get("/", `X-Long: ${"x".repeat(70_000)}`));
  const answer = await http.client.answer();
  assert.equal(answer.status, 431);
  assert.match(answer.message(), /^gateway: /);
  assert.equal((await http.client.rest()).length, 0);
});

Deno.test("http: a target's header section beyond 64 KiB is answered with 500", async () => {
  await using target = await tcpTarget((socket) => {
    socket.once("data", () => socket.write(`HTTP/1.1 200 OK\r\nX-Long: ${"x".repeat(70_000)}`));
    socket.on("end", () => socket.end());
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(get("/"));
  assert.equal((await http.client.answer()).status, 500);
  await http.finish();
});

Deno.test("http: a target that does not speak HTTP is answered with 500", async () => {
  await using target = await tcpTarget((socket) => {
    socket.once("data", () => socket.write("SSH-2.0-OpenSSH_9.9\r\n"));
    socket.on("end", () => socket.end());
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  for (let i = 0; i < 2; i++) {
    await http.client.send(post("/", "body"));
    assert.equal((await http.client.answer()).status, 500);
  }
  await http.finish();
});

Deno.test("http: an abort ends a request that is under way, and says why", async () => {
  const asked = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  await using target = await tcpTarget((socket) => {
    socket.once("data", () => asked.resolve());
    socket.once("close", () => gone.resolve());
    socket.on("end", () => socket.end());
  });
  await using http = await httpStream(route("http", { host: HOST, port: target.port }));
  await http.client.send(get("/"));
  await asked.promise;
  http.stop.abort(new Error("the gateway is stopping"));
  await assert.rejects(http.result, /the gateway is stopping/);
  await gone.promise;
});

Deno.test("http: a hundred streams at once each get their own answers", async () => {
  await using target = await httpTarget(mirror);
  const one = async (i: number) => {
    await using http = await httpStream(route("http", { host: HOST, port: target.port }));
    for (let round = 0; round < 3; round++) {
      await http.client.send(post("/", `stream ${i}, round ${round}`));
      assert.equal(
        (await http.client.answer()).body.toString(),
        `stream ${i}, round ${round}`,
      );
    }
    await http.finish();
  };
  for (let from = 0; from < 100; from += 25) {
    await Promise.all(Array.from({ length: 25 }, (_, i) => one(from + i)));
  }
  assert.equal(target.connections, 100);
});
