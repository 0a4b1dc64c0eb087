/**
 * A bucket of tokens over the retries of one origin (SAFE-5): successes earn, retries pay, so that a total failure costs at most 1.00× the load plus
 * 35 retries once plus one a second while the circuit is closed.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html (read 2026-11-21), the standard mode of 2026
 * @since 0.1.0
 */

/** Tokens, and what is paid and earned. @category constants @since 0.1.0 */
export const terms = { capacity: 500, retry: 14, throttledRetry: 5, success: 1, floorMillis: 1000 } as const

/** @category models @since 0.1.0 */
export class RetryBudget {
  tokens: number = terms.capacity
  private floorAt = Number.NEGATIVE_INFINITY

  /**
   * Pays for one retry and returns what was paid, to be refunded when the call succeeds; 0 for the retry a second that is free while the circuit is
   * closed; `undefined` when there is nothing to pay with.
   */
  withdraw(throttled: boolean, circuitClosed: boolean, now: number): number | undefined {
    const price = throttled ? terms.throttledRetry : terms.retry
    if (this.tokens >= price) {
      this.tokens -= price
      return price
    }
    if (!circuitClosed || now - this.floorAt < terms.floorMillis) return undefined
    this.floorAt = now
    return 0
  }

  /** A call succeeded: at the first attempt it earns one token, after retries it gets back what its last retry paid. */
  deposit(paid: number): void {
    this.tokens = Math.min(terms.capacity, this.tokens + (paid === 0 ? terms.success : paid))
  }
}
