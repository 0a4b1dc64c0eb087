import { assert, describe, it } from "@effect/vitest"
import { Doubts } from "@breakwater/core"
import { scopeOf } from "@breakwater/core/IdempotencyRecord"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook } from "../support/Scenario.ts"
import { inDoubt, stored, withStore } from "./support/Doubt.ts"
import * as Post from "./support/Post.ts"

const key = "order/1/letter"
const operation = "post.letters.shout"
const where = { connection: "default", environment: "sandbox" }
const id = { scope: scopeOf({ operation, ...where }), key }

/** One write in doubt, as an operator sees it. */
const one = Effect.gen(function* () {
  yield* Post.connect(Fake.make([Fake.silent]))
  yield* inDoubt(operation, key)
  const [doubt] = yield* Doubts.list()
  return doubt ?? (yield* Effect.die("nothing is in doubt"))
})

describe("Doubts.list", () => {
  it.effect("tells of each write what it was, since when, and how it is found out", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          yield* Post.connect(Fake.make([Fake.silent]))
          yield* inDoubt(operation, key)
          yield* TestClock.adjust(1000)
          yield* inDoubt("post.letters.send", key)
          yield* inDoubt("elsewhere.do", "k", { connection: "tenant@a/b" })
          const listed = yield* Doubts.list()

          const at = (millis: number) => ({ since: millis, firstSentAt: millis })
          assert.deepStrictEqual(
            listed.map(({ fence: _, ...doubt }) => doubt),
            [
              { operation, ...where, key, ...at(0), way: "Ask" },
              { operation: "post.letters.send", ...where, key, ...at(1000), way: "Lookup" },
              {
                operation: "elsewhere.do",
                connection: "tenant@a/b",
                environment: "sandbox",
                key: "k",
                ...at(1000),
                way: undefined
              }
            ]
          )
          assert.lengthOf(yield* Doubts.list({ limit: 1 }), 1)
        })
      )
    )
  )
})

describe("Doubts.settleAs", () => {
  it.effect("stores what was done, so that a later call is given the value, and says who said so", () => {
    const book = new LogBook()
    return inScenario(
      withStore(
        Effect.gen(function* () {
          const doubt = yield* one
          yield* Doubts.settleAs({ ...doubt, as: Doubts.done({ id: "l7" }), by: "ana, ticket 42" })

          assert.deepStrictEqual(yield* stored(id), [
            "Succeeded",
            { at: 0, outcome: { status: 200, headers: { "content-type": "application/json" }, text: '{"id":"l7"}' } }
          ])
          assert.deepStrictEqual(book.lines.at(-1), {
            level: "Info",
            message: "post.letters.shout: key c49e3044 settled as done by ana, ticket 42",
            fields: { third_party: "post", operation, connection: "default", event: "settled by hand" }
          })
          assert.deepStrictEqual(yield* Doubts.list(), [])
        })
      ),
      book
    )
  })

  it.effect("stores that it was done without its answer, where the operator has none", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const doubt = yield* one
          yield* Doubts.settleAs({ ...doubt, as: Doubts.done(), by: "ana" })

          assert.deepStrictEqual(yield* stored(id), ["Succeeded", { at: 0 }])
        })
      )
    )
  )

  it.effect("frees the key of what was not done", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const doubt = yield* one
          yield* Doubts.settleAs({ ...doubt, as: Doubts.notDone, by: "ana" })

          assert.deepStrictEqual(yield* stored(id), ["Absent", undefined])
        })
      )
    )
  )

  it.effect("fails where the record has moved on, and changes nothing", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const doubt = yield* one
          yield* Doubts.settleAs({ ...doubt, as: Doubts.notDone, by: "ana" })
          const late = yield* Effect.flip(Doubts.settleAs({ ...doubt, as: Doubts.done(), by: "ben" }))

          assert.deepStrictEqual([late._tag, yield* stored(id)], ["StaleClaim", ["Absent", undefined]])
        })
      )
    )
  )

  it.effect("refuses bytes, which no record keeps so", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          yield* Post.connect(Fake.make([Fake.silent]))
          yield* inDoubt("post.letters.scan", key)
          const [doubt] = yield* Doubts.list()
          if (doubt === undefined) return yield* Effect.die("nothing is in doubt")
          const as = Doubts.done(new Uint8Array([1]))

          assert.strictEqual((yield* Effect.flip(Doubts.settleAs({ ...doubt, as, by: "ana" })))._tag, "ValueUnfit")
        })
      )
    )
  )

  it.effect("refuses a value that no later call could be given, and changes nothing", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const doubt = yield* one
          const unfit = yield* Effect.flip(Doubts.settleAs({ ...doubt, as: Doubts.done({ no: "id" }), by: "ana" }))
          const elsewhere = { ...doubt, operation: "elsewhere.do" }
          const unknown = yield* Effect.flip(Doubts.settleAs({ ...elsewhere, as: Doubts.done({}), by: "ana" }))

          assert.deepStrictEqual(
            [unfit.message, unknown.message],
            [
              "post.letters.shout: the value must be what the operation gives",
              "elsewhere.do: the value cannot be stored: its provider is not open in this process"
            ]
          )
          assert.deepStrictEqual(yield* stored(id), ["Unknown", undefined])
        })
      )
    )
  )
})
