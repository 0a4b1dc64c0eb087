/**
 * What all connections to one origin share: its circuit, and the budget for retries (ADR 0005). It is kept with the transport that reaches the origin, and goes with it. @internal
 */
import { Circuit } from "../policy/Circuit.ts"
import type { CircuitOptions } from "../policy/Circuit.ts"
import { RetryBudget } from "../policy/RetryBudget.ts"
import type { HttpClient } from "../vocabulary/Platform.ts"

/** Origins that one transport keeps memory for; of more, the one that was connected to longest ago begins anew at its next connection. */
const maxOrigins = 1024

/** @category models @since 0.1.0 */
export class OriginMemory {
  readonly circuit: Circuit
  readonly retries = new RetryBudget()

  constructor(options: CircuitOptions) {
    this.circuit = new Circuit(options)
  }
}

/** Nothing here outlives its transport, so that what one test or one run has learnt is not known to the next. */
const byTransport = new WeakMap<HttpClient.HttpClient, Map<string, OriginMemory>>()

/** The memory of an origin behind a transport. Its sizes are those of the connection that came first. @category constructors @since 0.1.0 */
export const shared = (transport: HttpClient.HttpClient, origin: string, options: CircuitOptions): OriginMemory => {
  const known = byTransport.get(transport) ?? new Map<string, OriginMemory>()
  byTransport.set(transport, known)
  const memory = known.get(origin) ?? new OriginMemory(options)
  known.delete(origin)
  known.set(origin, memory)
  if (known.size > maxOrigins) {
    const oldest = known.keys().next()
    if (oldest.done !== true) known.delete(oldest.value)
  }
  return memory
}
