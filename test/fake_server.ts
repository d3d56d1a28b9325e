/** A real HTTP server on loopback that answers as a test tells it to. */
export interface FakeServer {
  /** Without a trailing slash. */
  url: string;
  /** Every request so far. */
  requests: { method: string; path: string; authorization: string | null; body: unknown }[];
  [Symbol.asyncDispose](): Promise<void>;
}

export type Answer = (request: Request, index: number) => Response | Promise<Response>;

export function fakeServer(answer: Answer): FakeServer {
  const requests: FakeServer["requests"] = [];
  const stop = new AbortController();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, signal: stop.signal, onListen: () => {} },
    async (request) => {
      const text = await request.text();
      requests.push({
        method: request.method,
        path: new URL(request.url).pathname,
        authorization: request.headers.get("authorization"),
        body: text === "" ? undefined : JSON.parse(text),
      });
      return await answer(request, requests.length - 1);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await server.finished;
    },
  };
}

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return Response.json(value, { status, headers });
}
