/** Enrolment: a one-time token, traded once for the gateway's (or relay's) own, which is kept here. */
import { createHash } from "node:crypto";
import { SallyportError } from "../errors.ts";
import { hideSecret, logger } from "../log.ts";
import type { Enrolment } from "./api.ts";
import type { Credentials } from "./credentials.ts";
import type { SecretSource } from "./secret.ts";
import type { StateFile } from "./state.ts";

const log = logger("enroll");

/** A gateway's or relay's own token: kept in its state file, or got with a one-time enrolment token. */
export class EnrolledCredentials implements Credentials {
  readonly #oneTime: SecretSource | undefined;
  readonly #state: StateFile;
  readonly #domain: string;
  readonly #enrol: (oneTime: string) => Promise<Enrolment>;
  #pending: Promise<string> | undefined;

  constructor(
    oneTime: SecretSource | undefined,
    state: StateFile,
    domain: string,
    enrol: (oneTime: string) => Promise<Enrolment>,
  ) {
    this.#oneTime = oneTime;
    this.#state = state;
    this.#domain = domain;
    this.#enrol = enrol;
  }

  token(): Promise<string> {
    const pending = this.#pending ??= this.#find();
    pending.catch(() => {
      if (this.#pending === pending) this.#pending = undefined;
    });
    return pending;
  }

  /** Its own token does not come back; but a new one-time token may have been put in the file. */
  async refused(token: string): Promise<boolean> {
    if (this.#oneTime?.kind !== "file") return false;
    this.#pending = undefined;
    return await this.token() !== token;
  }

  /** A one-time token that was spent on the state we have needs no spending again at a restart. */
  async #find(): Promise<string> {
    const saved = await this.#state.load();
    if (saved) hideSecret(saved.accessToken);
    const oneTime = await this.#readOneTime(saved !== undefined);
    const enrolment = oneTime && createHash("sha256").update(oneTime).digest("hex");
    if (saved?.domain === this.#domain && (!enrolment || saved.enrolment === enrolment)) {
      return saved.accessToken;
    }
    if (oneTime) return await this.#trade(oneTime, enrolment);
    if (saved) {
      throw new SallyportError(
        "state",
        `${this.#state.path} belongs to ${saved.domain}, not to ${this.#domain}`,
        { hint: "give the --domain that it was enrolled with, or a new enrolment token" },
      );
    }
    throw new SallyportError(
      "credentials-refused",
      `this ${this.#state.kind} is not enrolled yet (no ${this.#state.path})`,
      { hint: "create an enrolment token on the platform and give it with --token" },
    );
  }

  /** The file of a spent token may be gone; that is no reason not to start. */
  async #readOneTime(enrolled: boolean): Promise<string | undefined> {
    try {
      return await this.#oneTime?.read();
    } catch (error) {
      if (!enrolled) throw error;
      return undefined;
    }
  }

  async #trade(oneTime: string, enrolment?: string): Promise<string> {
    await this.#state.check();
    const { accessToken, id } = await this.#spend(oneTime);
    hideSecret(accessToken);
    await this.#state.save({ id, accessToken, domain: this.#domain, enrolment });
    log.info("enrolled as {kind} {id}; its token is kept in {path}", {
      kind: this.#state.kind,
      id,
      path: this.#state.path,
    });
    return accessToken;
  }

  async #spend(oneTime: string) {
    try {
      return await this.#enrol(oneTime);
    } catch (error) {
      const wrong = error instanceof SallyportError &&
        ["credentials-refused", "api-rejected", "api-not-found"].includes(error.code);
      if (!wrong) throw error;
      throw new SallyportError("credentials-refused", `enrolment refused: ${error.message}`, {
        hint: "an enrolment token works once and for a limited time: create a new one",
        cause: error,
      });
    }
  }
}
