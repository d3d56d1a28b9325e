/** Whether doctor may log in to the relay as the gateway: if none is seen at work, always, never. */
export const LOGINS = ["auto", "yes", "no"] as const;
