/** The platform's API answers, and says what time it is. */
import { callApi } from "../../../enroll/call.ts";
import { SallyportError } from "../../../errors.ts";
import { type Check, fail, pass } from "../check.ts";
import { platformPlace } from "../platform_route.ts";

/** Says that the platform is well, and needs no token. */
const PATH = "/status";

/** See above. */
export const api: Check = {
  id: "api",
  title: "API",
  needs: ["platform-port", "proxy"],
  async run(context, signal) {
    const { domain, facts, now, timeout } = context;
    const { host } = platformPlace(context);
    const real = await context.fetch();
    const dated: typeof fetch = async (input, init) => {
      const before = now();
      const response = await real(input, init);
      const server = Date.parse(response.headers.get("date") ?? "");
      if (!Number.isNaN(server)) facts.date = { server, before, after: now() };
      return response;
    };
    try {
      await callApi({
        domain,
        method: "GET",
        path: PATH,
        fetch: dated,
        signal,
        timeout: timeout * 2,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SallyportError)) throw error;
      const { code, message, hint } = error;
      // A platform without this call has answered all the same.
      const answered = code === "api-not-found" || code === "credentials-refused";
      if (!answered) return fail(message, hint, code);
    }
    return pass(`the API at ${host} answers`);
  },
};
