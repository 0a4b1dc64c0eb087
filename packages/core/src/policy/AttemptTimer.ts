/**
 * Which timeout an attempt in flight runs into next, and which one it ran into: silence, attempt, or the call's deadline (SAFE-1). Pure; the sleeping
 * is the pipeline's. The connect timeout is kept by the transport, which alone knows when it has a connection. @since 0.1.0
 */
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"

/** @category models @since 0.1.0 */
export type Expiry = "silence" | "attempt" | "deadline"

/** The timeouts of a resolved policy. @category models @since 0.1.0 */
export type Bounds = Pick<ResolvedPolicy, "silenceMillis" | "attemptMillis">

/** Before the first attempt. */
const none: Bounds = { silenceMillis: 0, attemptMillis: 0 }

/** @category models @since 0.1.0 */
export class AttemptTimer {
  private startedAt = 0
  private heardAt = 0
  private deadlineAt = 0
  private sending = false
  private bounds: Bounds = none

  start(bounds: Bounds, now: number, deadlineAt: number): void {
    this.bounds = bounds
    this.startedAt = this.heardAt = now
    this.deadlineAt = deadlineAt
    this.sending = false
  }

  /** A byte came: the silence starts anew. */
  heard(now: number): void {
    this.heardAt = now
  }

  /** It is our turn: as long as the other side waits for what we have to send, it is not silent. */
  asked(): void {
    this.sending = true
  }

  /** It is the other side's turn again. */
  given(now: number): void {
    this.sending = false
    this.heardAt = now
  }

  /** The instant at which the next timeout strikes. */
  dueAt(): number {
    return Math.min(
      this.heardAt + this.bounds.silenceMillis,
      this.startedAt + this.bounds.attemptMillis,
      this.deadlineAt
    )
  }

  /** The timeout that has struck, the widest first: a deadline that ends with the silence is a deadline. */
  expired(now: number): Expiry | undefined {
    // So that whoever sleeps until the next timeout looks again in time, also after our turn is over.
    if (this.sending) this.heardAt = now
    if (now >= this.deadlineAt) return "deadline"
    if (now >= this.startedAt + this.bounds.attemptMillis) return "attempt"
    return now >= this.heardAt + this.bounds.silenceMillis ? "silence" : undefined
  }

  /** Whether the attempt itself was too slow, whatever the deadline: then it speaks against the provider. */
  overdue(now: number): boolean {
    return now >= this.startedAt + this.bounds.attemptMillis || now >= this.heardAt + this.bounds.silenceMillis
  }
}
