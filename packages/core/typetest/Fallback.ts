/** What a fallback answers and leaves, checked by `tsc` alone: the error channel keeps what it does not answer for, and a write is not answered by a value. */
import * as Fallback from "@breakwater/core/Fallback"
import type { FatalError, OutcomeUnknown, RetryableError } from "@breakwater/core/ProviderError"
import { Config, Context } from "effect"
import type { Effect } from "effect"
import { expectTypeOf } from "vitest"

class Shop extends Context.Service<Shop, { readonly name: string }>()("typetest/Shop") {}

declare const read: Effect.Effect<string, "gone" | RetryableError | FatalError, Shop>
declare const write: Effect.Effect<string, "declined" | RetryableError | FatalError | OutcomeUnknown, Shop>
declare const other: Effect.Effect<number, "elsewhere">
declare const shop: Context.Context<Shop>

const named = { name: "shop" }

expectTypeOf(read.pipe(Fallback.value(0, named))).toEqualTypeOf<
  Effect.Effect<string | number, "gone" | FatalError, Shop>
>()
expectTypeOf(read.pipe(Fallback.value(0, { ...named, answers: "any" }))).toEqualTypeOf<
  Effect.Effect<string | number, "gone", Shop>
>()
expectTypeOf(
  read.pipe(Fallback.off({ ...named, when: Config.Boolean("OFF") }), Fallback.value(0, named))
).toEqualTypeOf<Effect.Effect<string | number, "gone" | FatalError | Config.ConfigError, Shop>>()

// A write keeps all its errors, since only one that was not sent goes elsewhere.
expectTypeOf(write.pipe(Fallback.to(other, named))).toEqualTypeOf<
  Effect.Effect<string | number, "declined" | RetryableError | FatalError | OutcomeUnknown | "elsewhere", Shop>
>()
expectTypeOf(read.pipe(Fallback.to(other, { ...named, of: "reads" }))).toEqualTypeOf<
  Effect.Effect<string | number, "gone" | FatalError | "elsewhere", Shop>
>()
expectTypeOf(write.pipe(Fallback.providers([{ name: "a", provide: shop }], named))).toEqualTypeOf<
  Effect.Effect<string, "declined" | RetryableError | FatalError | OutcomeUnknown>
>()

// What may write is not answered as a read.
// @ts-expect-error the effect writes
write.pipe(Fallback.value("none", named))
// @ts-expect-error the effect writes
write.pipe(Fallback.to(other, { ...named, of: "reads" }))
// @ts-expect-error the effect writes
write.pipe(Fallback.providers([{ name: "a", provide: shop }], { ...named, of: "reads" }))
// @ts-expect-error a part writes
export const page = Fallback.partial({ read, write }, named)

declare const rates: Fallback.LastKnownGood<string>
expectTypeOf(read.pipe(rates.of("eur"))).toEqualTypeOf<typeof read>()
// @ts-expect-error the effect writes
write.pipe(rates.of("eur"))

expectTypeOf(Fallback.partial({ read, other }, named)).toEqualTypeOf<
  Effect.Effect<
    Fallback.PartialAnswer<{ readonly read: typeof read; readonly other: typeof other }>,
    "gone" | FatalError | "elsewhere",
    Shop
  >
>()
