/**
 * Circuits as `Health.snapshot` shows them.
 */
import type { CircuitHealth } from "@breakwater/core/Connections"

/** A circuit that has seen nothing, but for what is given. */
export const circuit = (changes: Partial<CircuitHealth> = {}): CircuitHealth => ({
  state: "closed",
  openings: 0,
  retryAfterMillis: 0,
  probesAt: null,
  reason: null,
  forcedBy: null,
  calls: 0,
  failureRate: null,
  slowRate: null,
  ...changes
})

/** The part of it that decides what a call meets. */
export const decides = ({ openings, retryAfterMillis, state }: CircuitHealth) => ({ state, openings, retryAfterMillis })
