/** Message numbers of the authentication (RFC 4252 §6) and connection (RFC 4254 §9) protocols. */
export const MESSAGE = {
  userauthRequest: 50,
  userauthFailure: 51,
  userauthSuccess: 52,
  userauthBanner: 53,
  userauthPkOk: 60,
  globalRequest: 80,
  requestSuccess: 81,
  requestFailure: 82,
  channelOpen: 90,
  channelOpenConfirmation: 91,
  channelOpenFailure: 92,
  channelWindowAdjust: 93,
  channelData: 94,
  channelExtendedData: 95,
  channelEof: 96,
  channelClose: 97,
  channelRequest: 98,
  channelSuccess: 99,
  channelFailure: 100,
} as const;

/** Reasons in DISCONNECT (RFC 4253 §11.1). */
export const DISCONNECT = {
  protocolError: 2,
  keyExchangeFailed: 3,
  hostKeyNotVerifiable: 9,
  connectionLost: 10,
  byApplication: 11,
  tooManyConnections: 12,
  noMoreAuthMethods: 14,
} as const;

/** Reasons in CHANNEL_OPEN_FAILURE (RFC 4254 §5.1). */
export const OPEN_FAILURE = {
  prohibited: 1,
  connectFailed: 2,
  unknownType: 3,
  resourceShortage: 4,
} as const;
