/** All checks, in the order in which they are made: adding one is one file and one line. */
import type { Check } from "./check.ts";
import { api } from "./checks/api.ts";
import { clock } from "./checks/clock.ts";
import { credentials } from "./checks/credentials.ts";
import { files } from "./checks/files.ts";
import { gateway } from "./checks/gateway.ts";
import { hostCertificate } from "./checks/host_certificate.ts";
import { platformName } from "./checks/platform_name.ts";
import { platformPort } from "./checks/platform_port.ts";
import { platformTls } from "./checks/platform_tls.ts";
import { proxy } from "./checks/proxy.ts";
import { registration } from "./checks/registration.ts";
import { relayLogin } from "./checks/relay_login.ts";
import { relayName } from "./checks/relay_name.ts";
import { relayPort } from "./checks/relay_port.ts";
import { relaySsh } from "./checks/relay_ssh.ts";
import { roundTrip } from "./checks/round_trip.ts";
import { service } from "./checks/service.ts";

/** See above. */
export const CHECKS: readonly Check[] = [
  platformName,
  proxy,
  platformPort,
  platformTls,
  api,
  clock,
  credentials,
  registration,
  relayName,
  relayPort,
  relaySsh,
  hostCertificate,
  gateway,
  relayLogin,
  roundTrip,
  files,
  service,
];
