/** What is counted of channels, over the life of their server or of a gateway. Pure. */

/** Counts since the start. */
export interface ChannelCounts {
  /** Channels being served now, handshakes included. */
  open: number;
  served: number;
  failed: number;
  /** Addresses that the target policy refused. */
  refused: number;
  /** Bytes from the platform to targets, and back, those of open channels included. */
  bytesIn: number;
  bytesOut: number;
}

/** Nothing yet. */
export const NO_COUNTS: Readonly<ChannelCounts> = {
  open: 0,
  served: 0,
  failed: 0,
  refused: 0,
  bytesIn: 0,
  bytesOut: 0,
};

/** Two counts as one. */
export function addCounts(a: ChannelCounts, b: ChannelCounts): ChannelCounts {
  return {
    open: a.open + b.open,
    served: a.served + b.served,
    failed: a.failed + b.failed,
    refused: a.refused + b.refused,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
  };
}
