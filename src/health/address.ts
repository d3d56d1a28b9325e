/** Where health is served unless something else is said. */
export const DEFAULT_HEALTH_LISTEN = "127.0.0.1:8222";
