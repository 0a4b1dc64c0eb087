import { assert, describe, it } from "@effect/vitest"
import { CircuitStore, limits, type Telling } from "@breakwater/core/CircuitStore"
import * as Stores from "@breakwater/core/node/Stores"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { inject } from "vitest"
import type { Adapter } from "./support/Adapters.ts"
import { inRedis } from "./support/Adapters.ts"

let count = 0
const circuitName = () => `acme/production/https://api.acme.test/${++count}`

const telling = (circuit: string, changes: Partial<Telling> = {}): Telling => ({
  circuit,
  member: "web-1",
  incident: 1,
  reason: "5 failures in a row",
  openMillis: 60_000,
  ...changes
})

const adapters: ReadonlyArray<Adapter<CircuitStore>> = [
  { name: "memory", layer: Stores.layerMemory(), skip: false },
  { name: "Redis", layer: inRedis(`t_circuit_${process.pid}`), skip: !inject("redis") }
]

/** What stands of some circuits, without what is left of it. */
const standing = Effect.fnUntraced(function* (...circuits: ReadonlyArray<string>) {
  const { told } = yield* CircuitStore
  return (yield* told)
    .filter(({ circuit }) => circuits.includes(circuit))
    .map(({ circuit, incident, member, reason }) => ({ circuit, member, incident, reason }))
    .toSorted((a, b) => (a.member < b.member ? -1 : 1))
})

const finding = ({ circuit, incident, member, reason }: Telling) => ({ circuit, member, incident, reason })

for (const { layer, name, skip } of adapters) {
  describe.skipIf(skip)(`CircuitStore in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("tells everybody what each member has told, with what is left of it", () =>
        Effect.gen(function* () {
          const store = yield* CircuitStore
          const circuit = circuitName()
          const [first, second] = [
            telling(circuit),
            telling(circuit, { member: "web-2", incident: 7, reason: "slow: 50 % of 20 calls" })
          ]
          yield* store.tell(first)
          yield* store.tell(second)

          assert.deepStrictEqual(yield* standing(circuit), [finding(first), finding(second)])
          for (const { leftMillis } of (yield* store.told).filter((each) => each.circuit === circuit)) {
            assert.isAtMost(leftMillis, 60_000)
            assert.isAbove(leftMillis, 50_000)
          }
        })
      )

      it.effect("takes what a member tells of a circuit in place of what it has told, be it longer or shorter", () =>
        Effect.gen(function* () {
          const store = yield* CircuitStore
          const circuit = circuitName()
          for (const openMillis of [1000, 900_000, 300_000])
            yield* store.tell(telling(circuit, { openMillis, incident: openMillis }))

          const found = (yield* store.told).filter((each) => each.circuit === circuit)
          assert.deepStrictEqual(
            found.map(({ incident }) => incident),
            [300_000]
          )
          assert.isTrue(found.every(({ leftMillis }) => leftMillis > 200_000 && leftMillis <= 300_000))
        })
      )

      it.effect("closes a circuit for what all have told of it, and no other", () =>
        Effect.gen(function* () {
          const store = yield* CircuitStore
          const [closed, other] = [circuitName(), circuitName()]
          for (const member of ["web-1", "web-2"]) yield* store.tell(telling(closed, { member }))
          yield* store.tell(telling(other))
          yield* store.close(closed)
          yield* store.close(circuitName())

          assert.deepStrictEqual(yield* standing(closed, other), [finding(telling(other))])
        })
      )

      it.effect("closes before it opens in one exchange, and answers with what stands after it", () =>
        Effect.gen(function* () {
          const store = yield* CircuitStore
          const [again, gone] = [circuitName(), circuitName()]
          for (const circuit of [again, gone]) yield* store.tell(telling(circuit, { member: "web-2" }))
          const told = yield* store.exchange({ opened: [telling(again)], closed: [again, gone] })

          assert.deepStrictEqual(
            told
              .filter(({ circuit }) => circuit === again || circuit === gone)
              .map(({ circuit, member }) => [circuit, member]),
            [[again, "web-1"]]
          )
        })
      )

      it.effect("keeps of a reason what fits into a line, whatever it is made of", () =>
        Effect.gen(function* () {
          const store = yield* CircuitStore
          const circuit = circuitName()
          const reasons = ["", "50 % of 4 calls failed", "a\nb\u0000c\u001b[31m", `ü${"x".repeat(500)}`]
          const kept: Array<string | undefined> = []
          for (const reason of reasons) {
            yield* store.tell(telling(circuit, { reason }))
            kept.push((yield* standing(circuit))[0]?.reason)
          }

          assert.deepStrictEqual(kept, ["", "50 % of 4 calls failed", "a b c [31m", `ü${"x".repeat(199)}`])
        })
      )

      it.effect("refuses what breaks a rule, and names it", () =>
        Effect.gen(function* () {
          const store = yield* CircuitStore
          const circuit = circuitName()
          const many = Array.from({ length: limits.news + 1 }, (_, index) => `${circuit}/${index}`)
          const errors = yield* Effect.forEach(
            [
              store.tell(telling("")),
              store.tell(telling("a\nb")),
              store.tell(telling(circuit, { member: "x".repeat(513) })),
              store.tell(telling(circuit, { openMillis: 0 })),
              store.tell(telling(circuit, { openMillis: 3_600_001 })),
              store.tell(telling(circuit, { openMillis: Number.NaN })),
              store.tell(telling(circuit, { incident: 0.5 })),
              store.close("\u0007"),
              store.exchange({ opened: [], closed: many }),
              store.exchange({ opened: many.map((each) => telling(each)), closed: [] })
            ],
            Effect.flip
          )

          assert.deepStrictEqual(
            errors.map(({ message }) => message.replace("circuit store, exchange: invalid: ", "")),
            [
              "circuit must have 1 to 512 characters, has 0",
              "circuit must not have control characters or broken surrogates",
              "member must have 1 to 512 characters, has 513",
              "openMillis must be more than 0 and at most 3600000, is 0",
              "openMillis must be more than 0 and at most 3600000, is 3600001",
              "openMillis must be more than 0 and at most 3600000, is NaN",
              "incident must be a whole number, is 0.5",
              "circuit must not have control characters or broken surrogates",
              "closed must have at most 256 entries, has 257",
              "opened must have at most 256 entries, has 257"
            ]
          )
          assert.deepStrictEqual(yield* standing(circuit), [])
        })
      )

      it.effect("keeps 512, and of more those that are open longest", () =>
        Effect.gen(function* () {
          const store = yield* CircuitStore
          const circuits = Array.from({ length: limits.findings + 8 }, circuitName)
          for (const from of [0, 256, 512])
            yield* store.exchange({
              opened: circuits
                .slice(from, from + 256)
                .map((circuit, index) => telling(circuit, { openMillis: 3_000_000 - 1000 * (from + index) })),
              closed: []
            })
          const told = new Set((yield* store.told).map(({ circuit }) => circuit))

          assert.strictEqual(told.size, limits.findings)
          assert.deepStrictEqual(
            circuits.filter((circuit) => !told.has(circuit)),
            circuits.slice(limits.findings)
          )
          yield* store.tell(telling(circuitName(), { openMillis: 1000 }))
          assert.strictEqual((yield* store.told).length, limits.findings)
        })
      )
    })
  })
}

describe("CircuitStore.layerMemory", () => {
  it.effect("forgets what is over at the very millisecond", () =>
    Effect.gen(function* () {
      const store = yield* CircuitStore
      yield* store.tell(telling("a", { openMillis: 1000 }))
      const left: Array<number | undefined> = []
      for (const millis of [0, 999, 1]) {
        yield* TestClock.adjust(millis)
        const [told] = yield* store.told
        left.push(told?.leftMillis)
      }

      assert.deepStrictEqual(left, [1000, 1, undefined])
    }).pipe(Effect.provide(CircuitStore.layerMemory))
  )
})

const prefix = `t_circuit_alone_${process.pid}`

describe.skipIf(!inject("redis"))("CircuitStore in Redis, alone", () => {
  it.live("tells nothing that is over while something else is not", () =>
    Effect.gen(function* () {
      const store = yield* CircuitStore
      yield* store.tell(telling("a", { openMillis: 20 }))
      yield* store.tell(telling("b"))
      let told = yield* store.told
      // The server's own time goes by while it is asked.
      for (let round = 0; round < 20_000 && told.length > 1; round++) told = yield* store.told

      assert.deepStrictEqual(
        told.map(({ circuit }) => circuit),
        ["b"]
      )
    }).pipe(Effect.provide(inRedis(prefix)))
  )

  it.live("leaves no key behind when all is over, though nobody asks", () =>
    Effect.gen(function* () {
      const store = yield* CircuitStore
      const redis = yield* Redis.Redis
      yield* store.tell(telling("a", { openMillis: 20 }))
      const keys = redis.send<ReadonlyArray<string>>("KEYS", `${prefix}:*`)
      let left = yield* keys
      const first = left.length
      for (let round = 0; round < 20_000 && left.length > 0; round++) left = yield* keys

      assert.deepStrictEqual([first, left], [2, []])
    }).pipe(Effect.provide(inRedis(prefix)))
  )

  it.live("passes over what somebody else has written there", () =>
    Effect.gen(function* () {
      const store = yield* CircuitStore
      const redis = yield* Redis.Redis
      yield* redis.send("ZADD", `${prefix}:circuit:ends`, "9999999999999", "foreign")
      yield* redis.send("ZADD", `${prefix}:circuit:ends`, "9999999999998", "a\nb")
      yield* redis.send("HSET", `${prefix}:circuit:findings`, "a\nb", "nonsense")
      yield* store.tell(telling("c"))

      assert.deepStrictEqual(
        (yield* store.told).map(({ circuit }) => circuit),
        ["c"]
      )
    }).pipe(Effect.provide(inRedis(prefix)))
  )
})
