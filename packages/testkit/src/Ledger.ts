/**
 * What a simulated provider really did, whatever its clients believe: tests and demos judge by it. @since 0.1.0
 */

/** One thing that was done. @category models @since 0.1.0 */
export interface LedgerEntry {
  /** Milliseconds since the epoch, by the provider's clock. */
  readonly at: number
  /** `group.endpoint` of the declaration. */
  readonly operation: string
  /** What happened, such as `charge.succeeded`, `charge.declined`, `refund.succeeded`. */
  readonly kind: string
  /** The idempotency key of the request that did it. */
  readonly key: string | undefined
  /** In the smallest unit of the currency. */
  readonly amount: number | undefined
  readonly currency: string | undefined
  /** Ids of the objects it concerns, by kind of object. */
  readonly ids: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
}

/** One exchange as the provider's own log has it. @category models @since 0.1.0 */
export interface LoggedExchange {
  readonly index: number
  /** Milliseconds since the epoch at which it began. */
  readonly at: number
  readonly operation: string
  readonly method: string
  readonly path: string
  readonly key: string | undefined
  /** Name of the fault that struck it. */
  readonly fault: string
  /** Status that was sent, even if it was lost on the way; `undefined` if there was no answer. */
  readonly status: number | undefined
  /** Whether the endpoint did its work in this exchange; false for a replay. */
  readonly processed: boolean
}

/** Exchanges that are remembered, the oldest forgotten first. Entries are never forgotten. @category constants @since 0.1.0 */
export const maxExchanges = 10_000

const blank: Omit<LedgerEntry, "kind"> = {
  at: 0,
  operation: "",
  key: undefined,
  amount: undefined,
  currency: undefined,
  ids: {},
  metadata: {}
}

/** Appended to by the simulation, read by everyone else. @category models @since 0.1.0 */
export class Ledger {
  private readonly recorded: Array<LedgerEntry> = []
  private logged: Array<LoggedExchange> = []
  private count = 0

  /** Everything that was done, oldest first. */
  get entries(): ReadonlyArray<LedgerEntry> {
    return this.recorded
  }

  /** The last exchanges, oldest first, at least `maxExchanges` of them. */
  get exchanges(): ReadonlyArray<LoggedExchange> {
    return this.logged
  }

  /** How many exchanges there were, those that are forgotten included. */
  get exchangeCount(): number {
    return this.count
  }

  /** Writes down what was done; what is left out of an entry is unknown, its time 0. */
  record(entry: Pick<LedgerEntry, "kind"> & Partial<LedgerEntry>): void {
    this.recorded.push({ ...blank, ...entry })
  }

  log(exchange: LoggedExchange): void {
    this.count++
    this.logged.push(exchange)
    if (this.logged.length >= 2 * maxExchanges) this.logged = this.logged.slice(-maxExchanges)
  }

  ofKind(kind: string): ReadonlyArray<LedgerEntry> {
    return this.recorded.filter((entry) => entry.kind === kind)
  }

  /** What was done under an idempotency key. */
  byKey(key: string): ReadonlyArray<LedgerEntry> {
    return this.recorded.filter((entry) => entry.key === key)
  }

  /** What was done to objects that carry this value, such as the id of an order. */
  byMetadata(name: string, value: string): ReadonlyArray<LedgerEntry> {
    return this.recorded.filter((entry) => entry.metadata[name] === value)
  }
}
