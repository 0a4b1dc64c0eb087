/**
 * Stores of records that answer at once, asked without an effect: a call that has its record in memory needs no fiber to ask in, and nothing can come between the question and the answer. Known by the store
 * itself, so that one that is wrapped is asked as any other. @internal
 */
import type * as Exit from "effect/Exit"
import type { Claim, ClaimRequest } from "./IdempotencyRecord.ts"
import type { Answer, IdempotencyStore, Settlement } from "./IdempotencyStore.ts"
import type { StaleClaim, StoreError } from "./StoreError.ts"

type Ended = Exit.Exit<void, StoreError | StaleClaim>

/** What a call asks of a store, at the instant that it tells: what was asked is done when it returns. @category models @since 0.1.0 */
export interface ImmediateRecords {
  readonly claim: (request: ClaimRequest, now: number) => Exit.Exit<Answer, StoreError>
  readonly sending: (claim: Claim, leaseMillis: number, now: number) => Ended
  readonly settle: (claim: Claim, settlement: Settlement, now: number) => Ended
}

const known = new WeakMap<IdempotencyStore["Service"], ImmediateRecords>()

/** Says of a store that it answers at once. @category constructors @since 0.1.0 */
export const add = (store: IdempotencyStore["Service"], records: ImmediateRecords): void => {
  known.set(store, records)
}

/** How to ask a store at once; `undefined` for one that has to be waited for. @category accessors @since 0.1.0 */
export const of = (store: IdempotencyStore["Service"]): ImmediateRecords | undefined => known.get(store)
