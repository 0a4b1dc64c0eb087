/** What `withKey` takes and gives, checked by `tsc` alone: one key for one keyed operation, and a message that says why otherwise. */
import * as Idempotency from "@breakwater/core/Idempotency"
import type { IdempotencyKey } from "@breakwater/core/Idempotency"
import type { Effect } from "effect"
import { Context } from "effect"
import { expectTypeOf } from "vitest"

class Payments extends Context.Service<Payments, { readonly name: string }>()("typetest/Payments") {}

declare const charge: Effect.Effect<string, "declined", IdempotencyKey<"stripe.paymentIntents.create"> | Payments>
declare const refund: Effect.Effect<number, "refused", IdempotencyKey<"stripe.refunds.create">>
declare const both: Effect.Effect<
  [string, number],
  "declined" | "refused",
  IdempotencyKey<"stripe.paymentIntents.create"> | IdempotencyKey<"stripe.refunds.create"> | Payments
>
declare const read: Effect.Effect<string, never, Payments>
declare const nothing: Effect.Effect<string>

// The key satisfies the requirement of its operation and leaves value, errors and all other requirements.
expectTypeOf(charge.pipe(Idempotency.withKey("order/1"))).toEqualTypeOf<Effect.Effect<string, "declined", Payments>>()
expectTypeOf(refund.pipe(Idempotency.withKey("order/1"))).toEqualTypeOf<Effect.Effect<number, "refused">>()

// A key that has to be asked for brings along what asking needs.
declare const asked: Effect.Effect<string, "no activity", Payments>
expectTypeOf(refund.pipe(Idempotency.withKeyFrom(asked))).toEqualTypeOf<
  Effect.Effect<number, "refused" | "no activity", Payments>
>()

// A name changes no type: it is for operations that ask for no key.
expectTypeOf(nothing.pipe(Idempotency.once("order/1"))).toEqualTypeOf<Effect.Effect<string>>()
expectTypeOf(refund.pipe(Idempotency.once("order/1"))).toEqualTypeOf<typeof refund>()

// An effect that still lacks its key cannot be run: the requirement is left.
expectTypeOf(refund).not.toExtend<Effect.Effect<number, "refused">>()
expectTypeOf(refund.pipe(Idempotency.withKey("order/1"))).toExtend<Effect.Effect<number, "refused">>()

// A key for nothing, and one key for two operations, do not compile.
// @ts-expect-error nothing in this effect needs an idempotency key
nothing.pipe(Idempotency.withKey("order/1"))
// @ts-expect-error nothing in this effect needs an idempotency key
read.pipe(Idempotency.withKey("order/1"))
// @ts-expect-error one key names one operation: key each call by itself
both.pipe(Idempotency.withKey("order/1"))
// @ts-expect-error the second key finds nothing that needs one
refund.pipe(Idempotency.withKey("order/1"), Idempotency.withKey("order/2"))
// @ts-expect-error a key is text
Idempotency.withKey(1)

// The message says why: it is the type that the argument is compared with.
const forNothing = Idempotency.withKey("order/1")<string, never, Payments>
const forTwo = Idempotency.withKey("order/1")<
  [string, number],
  never,
  IdempotencyKey<"stripe.paymentIntents.create"> | IdempotencyKey<"stripe.refunds.create">
>
const forOne = Idempotency.withKey("order/1")<number, never, IdempotencyKey<"stripe.refunds.create"> | Payments>

expectTypeOf<Parameters<typeof forNothing>[0]>().toExtend<"nothing in this effect needs an idempotency key">()
expectTypeOf<Parameters<typeof forTwo>[0]>().toExtend<"one key names one operation: key each call by itself">()
expectTypeOf<Parameters<typeof forOne>[0]>().not.toExtend<string>()

// `withKeyOf` asks the same of a function of an item.
interface Order {
  readonly id: number
}
const keyed = Idempotency.withKeyOf((order: Order) => `order/${order.id}`)

expectTypeOf(keyed((order) => (order.id === 0 ? refund : refund))).toEqualTypeOf<
  (item: Order) => Effect.Effect<number, "refused">
>()
// @ts-expect-error nothing in this effect needs an idempotency key
keyed(() => read)
// @ts-expect-error one key names one operation: key each call by itself
keyed(() => both)

// A key of one operation is not a key of another, nor of any.
expectTypeOf<IdempotencyKey<"a.b.c">>().not.toExtend<IdempotencyKey<"a.b.d">>()
expectTypeOf<IdempotencyKey<"a.b.c">>().not.toExtend<IdempotencyKey<string>>()
expectTypeOf<IdempotencyKey<string>>().not.toExtend<IdempotencyKey<"a.b.c">>()
