import assert from "node:assert/strict";
import { proxyFor } from "../../src/egress/proxy_choice.ts";

const chosen = (env: Record<string, string>, host = "relay.example", port = 2222) => {
  const proxy = proxyFor(host, port, env);
  return proxy && `${proxy.kind} ${proxy.host}:${proxy.port}`;
};

Deno.test("HTTPS_PROXY comes before ALL_PROXY, lower case before upper case, nothing means none", () => {
  assert.equal(chosen({}), undefined);
  assert.equal(chosen({ HTTPS_PROXY: "" }), undefined);
  assert.equal(chosen({ HTTP_PROXY: "http://plain:1" }), undefined);
  assert.equal(chosen({ ALL_PROXY: "socks5://s" }), "socks5 s:1080");
  assert.equal(chosen({ ALL_PROXY: "socks5://s", HTTPS_PROXY: "http://p:3128" }), "http p:3128");
  assert.equal(chosen({ HTTPS_PROXY: "http://p:1", https_proxy: "http://q:2" }), "http q:2");
});

Deno.test("a proxy is written as a URL, or as host and port", () => {
  assert.equal(chosen({ HTTPS_PROXY: "p:3128" }), "http p:3128");
  assert.equal(chosen({ HTTPS_PROXY: "http://p:80" }), "http p:80");
  assert.equal(chosen({ HTTPS_PROXY: "https://p" }), "https p:443");
  assert.equal(chosen({ HTTPS_PROXY: "socks5h://[::1]:9050" }), "socks5 ::1:9050");
  const proxy = proxyFor("h", 1, { HTTPS_PROXY: "http://us%40er:p%3Ass@p:1" });
  assert.deepEqual([proxy?.user, proxy?.password], ["us@er", "p:ss"]);
});

Deno.test("what is no proxy's URL is refused without being quoted", () => {
  for (const text of ["ftp://user:hunter2@p", "http://", "http://us er:hunter2@"]) {
    assert.throws(
      () => chosen({ HTTPS_PROXY: text }),
      (error: Error) => /^HTTPS_PROXY is not/.test(error.message) && !/hunter2/.test(error.message),
    );
  }
});

Deno.test("NO_PROXY names hosts, domains, addresses, networks and ports", () => {
  const direct = (noProxy: string, host: string, port = 2222) =>
    chosen({ HTTPS_PROXY: "p:1", NO_PROXY: noProxy }, host, port) === undefined;
  for (
    const [list, host] of [
      ["relay.example", "relay.example"],
      ["RELAY.example", "Relay.Example."],
      ["example", "relay.example"],
      [".example", "relay.example"],
      ["*.example", "relay.example"],
      ["a, relay.example:2222", "relay.example"],
      ["10.0.0.0/8", "10.1.2.3"],
      ["fd00::/8", "fd00::1"],
      ["fd00::/8", "[fd00::1]"],
      ["10.1.2.3", "10.1.2.3"],
      ["::1", "::1"],
      ["*", "anything"],
    ]
  ) {
    assert.ok(direct(list!, host!), `${list} names ${host}`);
  }
  for (
    const [list, host] of [
      ["relay.example:443", "relay.example"],
      ["ample", "relay.example"],
      ["10.0.0.0/8", "11.0.0.1"],
      ["10.0.0.0/99", "10.0.0.1"],
      ["fd00::/8", "10.0.0.1"],
      ["1.2.3", "0.1.2.3"],
      ["", "relay.example"],
    ]
  ) {
    assert.ok(!direct(list!, host!), `${list} does not name ${host}`);
  }
});
