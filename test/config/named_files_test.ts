import assert from "node:assert/strict";
import { logFiles, namedFiles } from "../../src/config/named_files.ts";

Deno.test("settings name the files that a command reads, and every name that it writes under", () => {
  const values = {
    caFile: "ca.pem",
    token: "@/run/token",
    clientSecret: "in the text itself",
    logFile: "/var/log/edge",
    logFileCount: 2,
    auditFile: "/var/log/audit",
    auditKeep: 1,
    healthListen: "unix:/run/edge.sock",
  };
  assert.deepEqual(namedFiles(values), {
    read: ["ca.pem", "/run/token"],
    write: [
      ...["/var/log/edge", "/var/log/edge.1", "/var/log/edge.2"],
      ...["/var/log/audit", "/var/log/audit.1"],
      "/run/edge.sock",
    ],
  });
  assert.deepEqual(logFiles({ logFileCount: 5 }), []);
  assert.deepEqual(namedFiles({ token: "-", healthListen: "127.0.0.1:8222" }), {
    read: [],
    write: [],
  });
});
