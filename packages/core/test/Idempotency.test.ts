import { assert, describe, it } from "@effect/vitest"
import { IdempotencyMismatch, InvalidRequest } from "@breakwater/core/FatalReason"
import type { Fingerprint, IdempotencyKey } from "@breakwater/core/Idempotency"
import * as Idempotency from "@breakwater/core/Idempotency"
import { Locked } from "@breakwater/core/RetryableReason"
import { Context, Effect, Schema } from "effect"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const charge: Fingerprint = { line: "POST https://acme.test/charges?", body: bytes("amount=1") }

const begun = (fingerprint = charge): Idempotency.KeyCell => {
  const cell = new Idempotency.KeyCell("order/1")
  assert.isUndefined(cell.begin("acme.charges.create", fingerprint))
  return cell
}

describe("Idempotency.KeyCell", () => {
  it("may be used again for the same request after a failure (IDEM-1)", () => {
    const cell = begun()

    cell.end(false)
    const again = cell.begin("acme.charges.create", { line: charge.line, body: bytes("amount=1") })

    assert.isUndefined(again)
    assert.strictEqual(cell.key, "order/1")
  })

  it("is locked while a call uses it", () => {
    const cell = begun()

    assert.deepStrictEqual(cell.begin("acme.charges.create", charge), new Locked({}))
  })

  it("is refused after a call that succeeded", () => {
    const cell = begun()
    cell.end(true)

    const refused = cell.begin("acme.charges.create", charge)

    assert.deepStrictEqual(
      refused,
      new InvalidRequest({ field: "idempotency key", detail: "was used for a call that succeeded" })
    )
  })

  it("is refused for another operation, in every state (IDEM-2)", () => {
    const cells = [begun(), begun(), begun()]
    cells[1]?.end(false)
    cells[2]?.end(true)

    for (const cell of cells) {
      assert.deepStrictEqual(
        cell.begin("acme.refunds.create", charge),
        new IdempotencyMismatch({ detail: "the key was used for acme.charges.create before" })
      )
    }
  })

  it("is refused for another request of the same operation, in every state (IDEM-2)", () => {
    const others: ReadonlyArray<Fingerprint> = [
      { ...charge, line: "POST https://acme.test/charges?expand=1" },
      { ...charge, body: bytes("amount=2") },
      { ...charge, body: bytes("amount=10") },
      { ...charge, body: bytes("amount=") },
      { ...charge, body: undefined }
    ]
    const mismatch = new IdempotencyMismatch({ detail: "the key was used for another request before" })

    for (const other of others) {
      const [inUse, failed, done] = [begun(), begun(), begun()]
      failed.end(false)
      done.end(true)
      assert.deepStrictEqual(
        [inUse, failed, done].map((cell) => cell.begin("acme.charges.create", other)),
        [mismatch, mismatch, mismatch]
      )
    }
  })

  it("takes two requests without a body for the same", () => {
    const cell = begun({ line: "POST https://acme.test/x?", body: undefined })
    cell.end(false)

    assert.isUndefined(cell.begin("acme.charges.create", { line: "POST https://acme.test/x?", body: undefined }))
    cell.end(false)
    assert.instanceOf(
      cell.begin("acme.charges.create", { line: "POST https://acme.test/x?", body: bytes("") }),
      IdempotencyMismatch
    )
  })

  it("stays bound to its first request after a use that was refused", () => {
    const cell = begun()
    cell.end(false)
    cell.begin("acme.refunds.create", charge)
    cell.begin("acme.charges.create", { ...charge, body: bytes("amount=2") })

    assert.isUndefined(cell.begin("acme.charges.create", charge))
  })

  const Step = Schema.Union([
    Schema.TaggedStruct("Begin", { operation: Schema.Literals(["a", "b"]), body: Schema.Literals(["1", "2"]) }),
    Schema.TaggedStruct("End", { succeeded: Schema.Boolean })
  ])

  it.prop(
    "is never in use twice, never used for two requests, and never used after a success",
    [Schema.Array(Step)],
    ([steps]) => {
      const cell = new Idempotency.KeyCell("key")
      let bound: string | undefined
      let inUse = false
      let done = false

      for (const step of steps) {
        if (step._tag === "End") {
          if (!inUse) continue
          cell.end(step.succeeded)
          inUse = false
          done = step.succeeded
          continue
        }
        const request = step.operation + step.body
        const taken = cell.begin(step.operation, { line: "POST /", body: bytes(step.body) }) === undefined
        assert.strictEqual(taken, !inUse && !done && (bound === undefined || bound === request))
        if (taken) {
          inUse = true
          bound = request
        }
      }
    },
    { arbitrary: { runs: 500, size: 30, seed: "cell" } }
  )
})

describe("Idempotency.problemOf", () => {
  const tooLong = (max: number, has: number) =>
    new InvalidRequest({ field: "idempotency key", detail: `must have 1 to ${max} characters, has ${has}` })
  const notAscii = new InvalidRequest({
    field: "idempotency key",
    detail: "must be printable ASCII without spaces at its ends"
  })

  it("takes 1 to 255 characters, on both sides of each boundary", () => {
    assert.deepStrictEqual(Idempotency.problemOf(""), tooLong(255, 0))
    assert.isUndefined(Idempotency.problemOf("k"))
    assert.isUndefined(Idempotency.problemOf("k".repeat(255)))
    assert.deepStrictEqual(Idempotency.problemOf("k".repeat(256)), tooLong(255, 256))
  })

  it("takes no more than the provider does", () => {
    assert.isUndefined(Idempotency.problemOf("k".repeat(40), 40))
    assert.deepStrictEqual(Idempotency.problemOf("k".repeat(41), 40), tooLong(40, 41))
    assert.isUndefined(Idempotency.problemOf("k".repeat(300), 300))
  })

  it("takes printable ASCII without spaces at its ends (SAFE-10)", () => {
    for (const key of ["!", "~", "order/1 charge", "a b", "{}:;,\"'"])
      assert.isUndefined(Idempotency.problemOf(key), key)
    for (const key of [
      " ",
      " a",
      "a ",
      "a\n",
      "a\r\nX-Evil: 1",
      "a\u0000b",
      "a\u007f",
      "a\u007fb",
      "ä",
      "a\u00a0b",
      "\ud83d\ude00",
      "\t"
    ]) {
      assert.deepStrictEqual(Idempotency.problemOf(key), notAscii, JSON.stringify(key))
    }
  })

  it.prop(
    "lets through only what a header carries as it is",
    [Schema.String],
    ([key]) => Idempotency.problemOf(key) !== undefined || new Headers([["k", key]]).get("k") === key,
    { arbitrary: { runs: 1000, size: 60, seed: "keys" } }
  )
})

/** An effect that needs the key of one operation and gives the cell that it finds. */
const keyed = Effect.service(Idempotency.CurrentKey) as Effect.Effect<
  Idempotency.KeyCell | undefined,
  never,
  IdempotencyKey<"acme.charges.create">
>

describe("Idempotency.withKey", () => {
  it.effect("gives every use in one run the same cell, and each run one of its own (IDEM-1)", () =>
    Effect.gen(function* () {
      const twice = Effect.all([keyed, keyed]).pipe(Idempotency.withKey("order/1"))

      const [first, second] = yield* twice
      const [later] = yield* twice

      assert.strictEqual(first?.key, "order/1")
      assert.strictEqual(second, first)
      assert.notStrictEqual(later, first)
      assert.strictEqual(later?.key, "order/1")
    })
  )

  it.effect("gives its key to another copy of this package too", () =>
    Effect.gen(function* () {
      const theirs = Context.Reference<Idempotency.KeyCell | undefined>("@breakwater/core/Idempotency/CurrentKey", {
        defaultValue: () => undefined
      })
      const both = Effect.all([keyed, Effect.service(theirs)])

      const [ours, found] = yield* both.pipe(Idempotency.withKey("order/1"))

      assert.isDefined(ours)
      assert.strictEqual(found, ours)
    })
  )

  it.effect("gives no key to what is outside", () =>
    Effect.gen(function* () {
      yield* keyed.pipe(Idempotency.withKey("order/1"))

      assert.isUndefined(yield* Effect.service(Idempotency.CurrentKey))
    })
  )
})

describe("Idempotency.withKeyOf", () => {
  it.effect("takes the key of each item from the item", () =>
    Effect.gen(function* () {
      const cells = yield* Effect.forEach(
        [{ id: 1 }, { id: 2 }],
        Idempotency.withKeyOf((order: { readonly id: number }) => `order/${order.id}`)(() => keyed)
      )

      assert.deepStrictEqual(
        cells.map((cell) => cell?.key),
        ["order/1", "order/2"]
      )
    })
  )

  it.effect("gives the item to the function", () =>
    Effect.gen(function* () {
      const named = Idempotency.withKeyOf((name: string) => name)((name) =>
        Effect.map(keyed, (cell) => [name, cell?.key])
      )

      assert.deepStrictEqual(yield* named("a"), ["a", "a"])
    })
  )
})

describe("Idempotency.keyOf", () => {
  it("is the parts with slashes in between", () => {
    assert.strictEqual(Idempotency.keyOf("order", 8731, "charge"), "order/8731/charge")
    assert.strictEqual(Idempotency.keyOf(12345678901234567890n), "12345678901234567890")
  })

  it("is another for other parts, also where one looks like two", () => {
    const parts = [["a/b"], ["a", "b"], ["a", ""], ["a"], ["", "a"], [""], ["~"], ["a%2Fb"], ["a b"], ["a%20b"], ["A"]]
    const keys = parts.map((each) => Idempotency.keyOf(...each))

    assert.strictEqual(new Set(keys).size, parts.length)
    for (const key of keys) assert.isUndefined(Idempotency.problemOf(key))
  })

  it("escapes what has a meaning of its own, and is written out up to 255 characters", () => {
    assert.strictEqual(Idempotency.keyOf("a/b%~c", " d"), "a%2Fb%25%7Ec/%20d")
    const parts = ["x".repeat(63), "x".repeat(63), "x".repeat(63)]

    assert.lengthOf(Idempotency.keyOf(...parts, "y".repeat(63)), 255)
    assert.match(Idempotency.keyOf(...parts, "y".repeat(64)), /^~[0-9a-f]{64}$/u)
  })

  it("hashes what a header does not take, and what is too long", () => {
    const hash = /^~[0-9a-f]{64}$/u

    assert.match(Idempotency.keyOf("schlüssel"), hash)
    assert.match(Idempotency.keyOf("a\n"), hash)
    assert.strictEqual(Idempotency.keyOf("x".repeat(64)), "x".repeat(64))
    assert.match(Idempotency.keyOf("x".repeat(65)), hash)
    assert.notStrictEqual(Idempotency.keyOf("\ud800"), Idempotency.keyOf("\udfff"))
    assert.match(Idempotency.keyOf(..."abcde".split("").map((each) => each.repeat(60))), hash)
  })

  it("refuses nothing, and numbers that are none", () => {
    assert.throws(() => Idempotency.keyOf(), "Idempotency.keyOf: needs at least one part")
    assert.throws(() => Idempotency.keyOf("order", Number.NaN), "Idempotency.keyOf: a number must be finite, got NaN")
  })
})

describe("Idempotency.withKeyFrom", () => {
  it.effect("is withKey with the key that an effect gives", () =>
    Effect.gen(function* () {
      const seen = Effect.map(Idempotency.CurrentKey, (cell) => cell?.key) as Effect.Effect<
        string | undefined,
        never,
        IdempotencyKey<"acme.charges.create">
      >

      assert.strictEqual(yield* seen.pipe(Idempotency.withKeyFrom(Effect.succeed("activity/1"))), "activity/1")
      assert.strictEqual(
        yield* Effect.flip(seen.pipe(Idempotency.withKeyFrom(Effect.fail("no activity")))),
        "no activity"
      )
    })
  )
})

describe("Idempotency.once", () => {
  it.effect("names the write inside, and nothing outside", () =>
    Effect.gen(function* () {
      const seen = Effect.map(Idempotency.CurrentName, (cell) => cell?.key)

      assert.deepStrictEqual([yield* Idempotency.once("order/1/mail")(seen), yield* seen], ["order/1/mail", undefined])
    })
  )

  it.effect("names it anew in each run, so that one that has failed may be made again", () =>
    Effect.gen(function* () {
      const named = Idempotency.once("order/1/mail")(Idempotency.CurrentName)

      assert.notStrictEqual(yield* named, yield* named)
    })
  )
})
