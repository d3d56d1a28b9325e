/** Certificates with one thing wrong, at our relay and at our gateway, over real sockets. */
import assert from "node:assert/strict";
import { formatAuthorizedKey, publicKeyBlob } from "../../src/certificates/ssh_key.ts";
import { SallyportError } from "../../src/errors.ts";
import {
  ATTEMPTS,
  type Craft,
  craft,
  type Crafted,
  type Kind,
  ODD,
} from "../certificates/crafted.ts";
import { within } from "../within.ts";
import { connectTo, GATEWAY_ID, newKey, type Pair, pair } from "./pair.ts";
import { type RawOptions, type RawSession, rawSession } from "./raw_session.ts";

const RELAY = "relay.test:2222";

function given(kind: Kind): Craft {
  const [key, authority] = [newKey("ed25519"), newKey("ed25519")];
  return kind === "user"
    ? { kind, principal: GATEWAY_ID, keyId: "client-r1", key, authority }
    : { kind, principal: RELAY, keyId: "relay-server", key, authority };
}

/** Somebody shows a user certificate to our relay. */
async function visitRelay(
  { blob, key, trusted }: Crafted,
  run: (raw: RawSession, p: Pair) => Promise<void>,
  more: Partial<RawOptions> = {},
): Promise<void> {
  const p = await pair({
    connect: () => new Promise(() => {}),
    server: { userAuthority: publicKeyBlob(trusted) },
  });
  const raw = rawSession(await connectTo(p.port), { certificate: blob, key, ...more });
  try {
    await within(5000, run(raw, p));
  } finally {
    raw.session.close();
    await p.server.then((relay) => relay.closed, () => {});
    await p.closeServer();
  }
}

/** Somebody shows a host certificate to our gateway. */
function visitGateway({ blob, key, trusted }: Crafted): Promise<Pair> {
  return pair({
    server: { host: { certificate: blob, privateKey: key } },
    client: { hostAuthority: formatAuthorizedKey(publicKeyBlob(trusted)) },
  });
}

for (const { what, make, code, only, says = /./ } of ATTEMPTS) {
  if (only !== "host") {
    Deno.test(`a gateway shows our relay a certificate ${what}`, () =>
      visitRelay(make(given("user")), async (raw, p) => {
        assert.equal(await raw.login, false);
        assert.deepEqual(p.refusals.map((error) => error.code), [code], `${p.refusals}`);
        assert.match(p.refusals[0]!.message, says);
      }));
  }
  if (only !== "user") {
    Deno.test(`a relay shows our gateway a certificate ${what}`, async () => {
      const p = await visitGateway(make(given("host")));
      try {
        await within(
          5000,
          assert.rejects(p.client, (error) => {
            assert.ok(error instanceof SallyportError, String(error));
            assert.equal(error.code, code, error.message);
            assert.match(error.message, says);
            return true;
          }),
        );
        await assert.rejects(p.server, SallyportError);
      } finally {
        await p.close();
      }
    });
  }
}

for (const { what, over } of ODD) {
  Deno.test(`a certificate ${what} is taken by our relay and by our gateway`, async () => {
    await visitRelay(craft(given("user"), over), async (raw) => {
      assert.equal(await raw.login, true);
    });
    const p = await visitGateway(craft(given("host"), over));
    await within(5000, p.client);
    await p.close();
  });
}

// The login around the certificate

const LOGINS: { what: string; options: Partial<RawOptions>; key?: "rsa"; says: RegExp }[] = [
  {
    what: "an algorithm that is not the certificate's",
    options: { algorithm: "ecdsa-sha2-nistp256-cert-v01@openssh.com" },
    says: /does not fit/,
  },
  {
    what: "a certificate under a plain algorithm's name",
    options: { algorithm: "ssh-ed25519" },
    says: /without a certificate is not accepted/,
  },
  {
    what: "SHA-1 for an RSA certificate",
    options: { algorithm: "ssh-rsa-cert-v01@openssh.com" },
    key: "rsa",
    says: /does not fit/,
  },
  {
    what: "SHA-512 and a signature by SHA-256",
    options: { algorithm: "rsa-sha2-512-cert-v01@openssh.com" },
    key: "rsa",
    says: /signature over the login request does not hold/,
  },
  {
    what: "somebody else's certificate, and signs with a key of its own",
    options: { key: newKey("ed25519") },
    says: /signature over the login request does not hold/,
  },
  {
    what: "its certificate for another user",
    options: { user: "22222222-2222-4222-8222-222222222222" },
    says: /is for .*, not for/,
  },
];

for (const { what, options, key, says } of LOGINS) {
  Deno.test(`a gateway logs in with ${what}`, () => {
    const user = given("user");
    const crafted = craft(key ? { ...user, key: newKey(key) } : user);
    return visitRelay(crafted, async (raw, p) => {
      assert.equal(await raw.login, false);
      assert.equal(p.refusals.length, 1);
      assert.match(p.refusals[0]!.message, says);
    }, options);
  });
}

Deno.test("a gateway logs in under a name with a NUL in it", () =>
  visitRelay(craft(given("user")), async (raw, p) => {
    await assert.rejects(raw.login);
    await assert.rejects(p.server, /user has a NUL in it/);
  }, { user: `${GATEWAY_ID}\0` }));
