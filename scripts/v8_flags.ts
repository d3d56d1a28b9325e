/**
 * A small young generation. Most of what a busy gateway throws away is buffers, which V8 counts apart:
 * with its usual 16 MiB they pile up to hundreds of MiB before it looks, and then it looks at everything
 * (docs/performance.md).
 */
export const V8_FLAGS = "--v8-flags=--max-semi-space-size=1";
