/** A time limit for what a test waits for: it fails then, instead of hanging. */

/** Gives what a promise gives, if it does in time (ms). */
export async function within<T>(time: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`not within ${time} ms`)), time);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
