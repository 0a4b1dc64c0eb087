import { assert, describe, it } from "@effect/vitest"
import { Batch, Call, Telemetry } from "@breakwater/core"
import { Clock, Duration, Effect, Metric, Request, type Result } from "effect"
import { inDoubt, notSent, outcomeUnknown, refused, unreadable } from "../support/Errors.ts"
import { inScenario, LogBook, toEnd } from "../support/Scenario.ts"

interface Sent {
  readonly items: ReadonlyArray<string>
  readonly key: string
  readonly at: number
}

type Reply = ReadonlyArray<Batch.Reading<string>> | Error

/** A provider that gives these replies in turn, and then does everything. */
const provider = (replies: ReadonlyArray<Reply>) => {
  const sent: Array<Sent> = []
  const send = (items: ReadonlyArray<string>, key = "") =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      const reply = replies[sent.length] ?? items.map((item) => Batch.succeeded(item))
      sent.push({ items, key, at })
      return reply instanceof Error ? Effect.fail(reply) : Effect.succeed(reply)
    })
  return { sent, send }
}

const outcomes = (readings: ReadonlyArray<Batch.Reading<string>>) => readings
const common = { name: "orders.import", outcomes, limits: { items: 2 } }

const later = (retryAfter?: Duration.Input) => Batch.retryable({ detail: "later", retryAfter })

const plain = (result: Result.Result<string, Batch.ItemError>) => {
  if (result._tag === "Success") return result.success
  const { failure } = result
  const wait = failure._tag === "ItemRetryable" ? failure.retryAfter : undefined
  const told = [failure._tag, failure.detail, failure.sends]
  return wait === undefined ? told : [...told, Duration.toMillis(wait)]
}

/** What each item came to, and how long it took. Waits are half of their ceiling. */
const ran = <R>(batch: Batch.Batch<string, string, R>, items: ReadonlyArray<string>) =>
  Effect.map(toEnd(batch.run(items)), ({ exit, took }) => {
    assert(exit._tag === "Success")
    return { results: exit.value.map(plain), took }
  })

describe("Batch.run", () => {
  it.effect("sends only what was not carried out again, in new chunks, after the longest hint and a wait", () =>
    inScenario(
      Effect.gen(function* () {
        const { send, sent } = provider([
          [Batch.succeeded("a"), later("2 seconds")],
          [later(), Batch.failed({ detail: "no such order", status: 404, code: "missing" })],
          [Batch.succeeded("e")]
        ])
        const { results } = yield* ran(Batch.make({ ...common, send, concurrency: 1 }), ["a", "b", "c", "d", "e"])

        assert.deepStrictEqual(
          sent.map(({ at, items }) => [items.join(""), at]),
          [
            ["ab", 0],
            ["cd", 0],
            ["e", 0],
            ["bc", 2100]
          ]
        )
        assert.deepStrictEqual(results, ["a", "b", "c", ["ItemFailed", "no such order", 1], "e"])
      })
    )
  )

  it.effect("gives up after its rounds, with what was said last", () =>
    inScenario(
      Effect.gen(function* () {
        const { send, sent } = provider([[later()], [later()], [later("5 seconds")]])
        const { results, took } = yield* ran(Batch.make({ ...common, send }), ["a"])

        assert.deepStrictEqual(results, [["ItemRetryable", "later", 3, 5000]])
        assert.strictEqual(sent.length, 3)
        assert.strictEqual(took, 100 + 200)
      })
    )
  )

  it.effect("gives back at once what has to wait longer than the cap, and goes on with the others", () =>
    inScenario(
      Effect.gen(function* () {
        const { send, sent } = provider([[later("61 seconds"), later("60 seconds")]])
        const { results } = yield* ran(Batch.make({ ...common, send }), ["a", "b"])

        assert.deepStrictEqual(results, [["ItemRetryable", "later", 1, 61_000], "b"])
        assert.deepStrictEqual(
          sent.map(({ items }) => items),
          [["a", "b"], ["b"]]
        )
      })
    )
  )

  it.effect("waits for no round that the deadline would not let it begin", () =>
    inScenario(
      Effect.gen(function* () {
        for (const [deadline, sends] of [
          [1100, 1],
          [1101, 2]
        ] as const) {
          const { send, sent } = provider([[later("1 second")]])
          const batch = Batch.make({ ...common, send })
          yield* toEnd(Call.withDeadline(batch.run(["a"]), deadline))

          assert.strictEqual(sent.length, sends)
        }
      })
    )
  )

  it.effect("fails an item that is too large or cannot be encoded, alone, before anything is sent", () =>
    inScenario(
      Effect.gen(function* () {
        const { send, sent } = provider([])
        // A quote on each side, and a comma.
        const batch = Batch.make({ ...common, send, limits: { items: 9, bytes: 5 } })
        const { results } = yield* ran(batch, ["ab", "abc", "é", "x"])
        const odd = Batch.make({ ...common, send, limits: { items: 9, bytes: 5, size: () => Number("none") } })

        assert.deepStrictEqual(results, [
          "ab",
          ["ItemFailed", "the item has 6 bytes, and a request may have 5", 0],
          "é",
          "x"
        ])
        assert.deepStrictEqual(
          sent.map(({ items }) => items),
          [["ab"], ["é"], ["x"]]
        )
        assert.deepStrictEqual((yield* ran(odd, ["a"])).results, [["ItemFailed", "the item cannot be encoded", 0]])
      })
    )
  )

  it.effect("knows what each failure of a request says of its items", () =>
    inScenario(
      Effect.gen(function* () {
        const of = (error: Error, key?: Batch.KeyPerItem) => {
          const { send } = provider([error])
          return Effect.map(ran(Batch.make({ ...common, send, key }), ["a"]), ({ results }) => results[0])
        }
        const perItem = { per: "item" } as const

        assert.strictEqual(yield* of(notSent()), "a")
        assert.deepStrictEqual(yield* of(inDoubt()), ["ItemUnknown", inDoubt().message, 1])
        assert.deepStrictEqual(yield* of(outcomeUnknown()), ["ItemUnknown", outcomeUnknown().message, 1])
        assert.strictEqual(yield* of(inDoubt(), perItem), "a")
        assert.strictEqual(yield* of(outcomeUnknown(), perItem), "a")
        assert.deepStrictEqual(yield* of(refused(), perItem), ["ItemFailed", refused().message, 1])
        assert.deepStrictEqual(yield* of(unreadable(), perItem), ["ItemUnknown", unreadable().message, 1])
        assert.deepStrictEqual(yield* of(Object.assign(new Error("4242 4242"), { _tag: "CardError" })), [
          "ItemFailed",
          "the request was refused: CardError",
          1
        ])
      })
    )
  )

  it.effect("leaves unknown what the answer is not read for, and shows no secret of it", () =>
    inScenario(
      Effect.gen(function* () {
        const { send } = provider([[Batch.succeeded("a")]])
        const unread = Batch.make({
          ...common,
          send,
          outcomes: (): ReadonlyArray<Batch.Reading<string>> => {
            throw new TypeError("results is undefined")
          }
        })
        const secret = provider([[Batch.failed({ detail: "bad key sk_live_1234567890" })]])

        assert.deepStrictEqual((yield* ran(Batch.make({ ...common, send }), ["a", "b"])).results, [
          ["ItemUnknown", "the answer was read as 1 outcomes for 2 items", 1],
          ["ItemUnknown", "the answer was read as 1 outcomes for 2 items", 1]
        ])
        assert.deepStrictEqual((yield* ran(unread, ["a"])).results, [
          ["ItemUnknown", "the answer could not be read", 1]
        ])
        assert.deepStrictEqual((yield* ran(Batch.make({ ...common, send: secret.send }), ["a"])).results, [
          ["ItemFailed", "bad key <redacted>", 1]
        ])
      })
    )
  )

  it.effect("loses no outcome to a request that dies", () =>
    inScenario(
      Effect.gen(function* () {
        const send = (items: ReadonlyArray<string>) =>
          items[0] === "c"
            ? Effect.die(new TypeError("a bug"))
            : Effect.succeed(items.map((item) => Batch.succeeded(item)))
        const { results } = yield* ran(Batch.make({ ...common, send }), ["a", "b", "c", "d", "e"])

        assert.deepStrictEqual(results, [
          "a",
          "b",
          ["ItemUnknown", "the request died", 1],
          ["ItemUnknown", "the request died", 1],
          "e"
        ])
      })
    )
  )

  it.effect("counts items by outcome, and says in a line what did not succeed", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { send } = provider([[Batch.succeeded("a"), Batch.failed({ detail: "no" })]])
        const batch = Batch.make({ ...common, send })
        yield* ran(batch, ["a", "b"])
        yield* ran(batch, ["c"])
        const counted = (outcome: string) =>
          Metric.value(
            Metric.withAttributes(Telemetry.batchItems, {
              [Telemetry.attribute.operation]: "orders.import",
              [Telemetry.attribute.outcome]: outcome
            })
          )

        assert.deepStrictEqual([(yield* counted("ok")).count, (yield* counted("fatal")).count], [2, 1])
        assert.deepStrictEqual(book.lines, [
          {
            level: "Warn",
            message: "batch orders.import: 1 of 2 items succeeded, 1 failed, 0 were not carried out, 0 unknown",
            fields: { operation: "orders.import", event: "batch" }
          }
        ])
      }),
      book
    )
  })
})

describe("Batch.run with a key per chunk", () => {
  const keyed = (replies: ReadonlyArray<Reply>) => {
    const { send, sent } = provider(replies)
    const key = { per: "chunk", of: (item: string) => item } as const
    return { sent, batch: Batch.make({ ...common, send, key, concurrency: 1 }) }
  }
  const keysOf = (sent: ReadonlyArray<Sent>) => sent.map(({ items, key }) => [items.join(""), key] as const)

  it.effect("sends the same items again with the same key while nobody knows, and believes the answer", () =>
    inScenario(
      Effect.gen(function* () {
        const { batch, sent } = keyed([
          inDoubt(),
          [later(), Batch.succeeded("d")],
          notSent(),
          [Batch.succeeded("c")],
          [Batch.failed({ detail: "no" }), Batch.succeeded("b")]
        ])
        const { results } = yield* ran(batch, ["a", "b", "c", "d"])
        const keys = keysOf(sent)

        assert.deepStrictEqual(
          keys.map(([items]) => items),
          ["ab", "cd", "ab", "c", "ab"]
        )
        assert.deepStrictEqual([keys[0], keys[0]], [keys[2], keys[4]])
        assert.match(keys[0]?.[1] ?? "", /^batch-[0-9a-f]{64}$/u)
        assert.strictEqual(new Set(keys.map(([, key]) => key)).size, 3)
        assert.deepStrictEqual(results, [["ItemFailed", "no", 3], "b", "c", "d"])
      })
    )
  )

  it.effect("takes another key after an answer that says that nothing was done, and the same in another run", () =>
    inScenario(
      Effect.gen(function* () {
        const [one, other] = [keyed([[later()]]), keyed([[later()]])]
        yield* ran(one.batch, ["a"])
        yield* ran(other.batch, ["a"])

        assert.strictEqual(new Set(keysOf(one.sent).map(([, key]) => key)).size, 2)
        assert.deepStrictEqual(keysOf(one.sent), keysOf(other.sent))
      })
    )
  )

  it.effect("is unknown when the key is too old, and when the rounds are spent", () =>
    inScenario(
      Effect.gen(function* () {
        const old = keyed([inDoubt(100)])
        const young = keyed([inDoubt(101), inDoubt(101)])

        assert.deepStrictEqual((yield* ran(old.batch, ["a"])).results, [["ItemUnknown", inDoubt().message, 1]])
        assert.deepStrictEqual((yield* ran(young.batch, ["a"])).results, [["ItemUnknown", inDoubt().message, 2]])
      })
    )
  )

  it.effect("refuses the second of two items that have one key", () =>
    inScenario(
      Effect.gen(function* () {
        const { batch, sent } = keyed([])

        assert.deepStrictEqual((yield* ran(batch, ["a", "b", "a"])).results, [
          "a",
          "b",
          ["ItemFailed", "an earlier item of the run has the same key", 0]
        ])
        assert.deepStrictEqual(
          sent.map(({ items }) => items),
          [["a", "b"]]
        )
      })
    )
  )
})

describe("Batch.make", () => {
  it("refuses limits that let nothing through, and a name that is no word", () => {
    const { send } = provider([])
    for (const wrong of [
      { limits: { items: 0 } },
      { limits: { items: 1, bytes: 0.5 } },
      { concurrency: 0 },
      { rounds: Number.NaN },
      { name: "two words" }
    ])
      assert.throws(() => Batch.make({ ...common, ...wrong, send }), RangeError)
  })
})

interface Entry {
  readonly id?: string
  readonly status: number
}

const readings = (items: ReadonlyArray<string>, entries: ReadonlyArray<Entry>, named: boolean) =>
  Batch.multiStatus({
    entries: (body: ReadonlyArray<Entry>) => body,
    by: named ? { item: (item: string) => item, entry: ({ id }: Entry) => id } : undefined,
    status: ({ status }) => status,
    value: ({ id }) => id
  })(entries, items).map((reading) => (reading._tag === "Succeeded" ? reading.value : reading._tag))

describe("Batch.multiStatus", () => {
  it("takes an outage for what it is: nobody knows whether the work was done", () => {
    const statuses = [200, 207, 404, 409, 425, 429, 408, 500, 501, 503, 505, 302, 100, 600, Number.NaN]
    const entries = statuses.map((status) => ({ status, id: "ok" }))

    assert.deepStrictEqual(
      readings(statuses.map(String), entries, false),
      ["ok", "ok", "Failed", "Failed", "Retryable", "Retryable", "Unknown", "Unknown", "Failed", "Unknown"].concat([
        "Failed",
        "Failed",
        "Unknown",
        "Unknown",
        "Unknown"
      ])
    )
  })

  it("ties entries to items by name, in any order, and leaves the others unknown", () => {
    const entries = [
      { id: "c", status: 200 },
      { id: "a", status: 201 },
      { id: "d", status: 200 },
      { id: "d", status: 400 },
      { id: "stranger", status: 200 },
      { status: 200 }
    ]

    assert.deepStrictEqual(readings(["a", "b", "c", "d"], entries, true), ["a", "Unknown", "c", "Unknown"])
    assert.deepStrictEqual(readings(["a", "a"], entries, true), ["Unknown", "Unknown"])
  })

  it("leaves all unknown where places do not tell which is which", () => {
    assert.deepStrictEqual(readings(["a", "b"], [{ status: 200 }], false), ["Unknown", "Unknown"])
    assert.deepStrictEqual(readings(["a"], [{ status: 200 }, { status: 200 }], false), ["Unknown"])
  })
})

describe("Batch.envelope", () => {
  it("believes an entry that has a result or an error, and no other", () => {
    interface Wrapped {
      readonly data?: string
      readonly error?: { readonly code: string; readonly again?: boolean }
    }
    const read = Batch.envelope({
      entries: ({ results }: { readonly results: ReadonlyArray<Wrapped> }) => results,
      ok: ({ data }) => data,
      error: ({ error }) => error && { detail: error.code, code: error.code, retryable: error.again }
    })
    const results = [
      { data: "a" },
      { error: { code: "bad" } },
      { error: { code: "busy", again: true } },
      {},
      { data: "b", error: { code: "bad" } }
    ]
    const detail = "the entry of the item has neither a result nor an error, or both"

    assert.deepStrictEqual(read({ results }, ["1", "2", "3", "4", "5"]), [
      { _tag: "Succeeded", value: "a" },
      { _tag: "Failed", detail: "bad", code: "bad" },
      { _tag: "Retryable", detail: "busy", code: "busy" },
      { _tag: "Unknown", detail },
      { _tag: "Unknown", detail }
    ])
  })
})

class Get extends Request.TaggedClass("Get")<{ readonly id: string }, string, Batch.ItemError> {}

describe("Batch.resolver", () => {
  it.effect("sends requests that are made at once together, and answers each with its own outcome", () =>
    inScenario(
      Effect.gen(function* () {
        const sent: Array<ReadonlyArray<string>> = []
        const batch = Batch.make({
          name: "users.get",
          send: (gets: ReadonlyArray<Get>) =>
            Effect.sync(() => {
              sent.push(gets.map(({ id }) => id))
              return gets.map(({ id }) =>
                id === "b" ? Batch.failed({ detail: "no such user" }) : Batch.succeeded(`user ${id}`)
              )
            }),
          outcomes: (body) => body,
          limits: { items: 2 },
          concurrency: 2
        })
        const resolver = Batch.resolver(batch)
        const get = (id: string) => Effect.result(Effect.request(new Get({ id }), resolver))
        const results = yield* Effect.forEach(["a", "b", "c", "d", "e"], get, { concurrency: "unbounded" })

        assert.deepStrictEqual(results.map(plain), [
          "user a",
          ["ItemFailed", "no such user", 1],
          "user c",
          "user d",
          "user e"
        ])
        assert.deepStrictEqual(sent, [["a", "b"], ["c", "d"], ["e"]])
        assert.strictEqual(batch.inFlight, 4)
      })
    )
  )
})
