/** Holds what the customers were told against what the provider's ledger says. The ledger is right. */
import type { Order } from "./Payments.ts"

/** Charges as the provider booked them. */
export interface Books {
  readonly charges: Array<{ readonly order: string; readonly key: string | undefined }>
}

/** Books that also count how often they were asked. */
export interface CountedBooks extends Books {
  attempts: number
}

/** What a customer was told last. */
export type Told = "paid" | "refused" | "later"

export interface Figures {
  readonly charged: number
  /** Orders still waiting at the end; none may be left. */
  readonly deferred: number
  readonly refused: number
  readonly doubleCharged: number
  /** Told paid without a charge, or told not paid with one. */
  readonly lost: number
  readonly attempts: number
  readonly retries: number
  readonly p50Ms: number
  readonly p95Ms: number
}

const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)

export const figures = (run: {
  readonly orders: ReadonlyArray<Order>
  readonly told: ReadonlyMap<string, Told>
  readonly charges: Books["charges"]
  readonly attempts: number
  readonly latenciesMillis: ReadonlyArray<number>
}): Figures => {
  const charges = new Map<string, number>()
  for (const { order } of run.charges) charges.set(order, (charges.get(order) ?? 0) + 1)
  const told = (word: Told) => run.orders.filter(({ id }) => run.told.get(id) === word)
  const lost = run.orders.filter(
    ({ id }) => (run.told.get(id) === "paid") !== charges.has(id) && run.told.get(id) !== "later"
  )
  const sorted = run.latenciesMillis.toSorted((a, b) => a - b)
  return {
    charged: told("paid").length,
    deferred: told("later").length,
    refused: told("refused").length,
    doubleCharged: [...charges.values()].filter((count) => count > 1).length,
    lost: lost.length,
    attempts: run.attempts,
    retries: Math.max(0, run.attempts - run.orders.length),
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95)
  }
}

/** Why a run did not do what it must; empty when it did. */
export const problems = (orders: ReadonlyArray<Order>, result: Figures): ReadonlyArray<string> => {
  const payable = orders.filter(({ card }) => card === "good").length
  return [
    result.charged === payable ? "" : `charged ${result.charged} of ${payable} payable orders`,
    result.doubleCharged === 0 ? "" : `${result.doubleCharged} charged twice`,
    result.lost === 0 ? "" : `${result.lost} lost`,
    result.deferred === 0 ? "" : `${result.deferred} left deferred`
  ].filter((problem) => problem !== "")
}
