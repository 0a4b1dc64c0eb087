import { assert, describe, it } from "@effect/vitest"
import type { Claim } from "@breakwater/core/IdempotencyRecord"
import * as Record from "@breakwater/core/IdempotencyRecord"
import type { IdempotencyStore } from "@breakwater/core/IdempotencyStore"
import * as Idempotency from "@breakwater/core/IdempotencyStore"
import * as Stores from "@breakwater/core/node/Stores"
import { keyProblem } from "@breakwater/core/StoreError"
import { Clock, Effect, Schema } from "effect"
import { TestClock } from "effect/testing"

type Store = IdempotencyStore["Service"]

const id = { scope: "s", key: "k" }
const leaseMillis = 10
const windowMillis = 50
const retentionMillis = 1000

const Step = Schema.Struct({
  worker: Schema.Literals([0, 1, 2]),
  does: Schema.Literals([
    "claim",
    "claim",
    "claim sending",
    "claim other",
    "sending",
    "renew",
    "pending",
    "undone",
    "unknown",
    "success",
    "resolve done",
    "resolve undone"
  ]),
  millis: Schema.Literals([0, 1, 9, 10, 11, 40])
})
type Step = typeof Step.Type

/** What is known of the key, and by whom, kept apart from the record: who was granted it, whether it may be done, what it came to. */
class Witness {
  owner: { readonly worker: number; readonly claim: Claim; until: number } | undefined
  /** The first send that was not taken back. */
  firstSentAt: number | undefined
  state: "open" | "settled" | "unknown" = "open"
  fence = Number.NEGATIVE_INFINITY
  /** What it was granted for. */
  fingerprint = ""
  settledAt = 0
}

const problem = (text: string, step: Step) => assert.fail(`${text} at ${JSON.stringify(step)}`)

const claiming = Effect.fnUntraced(function* (store: Store, witness: Witness, step: Step) {
  const now = yield* Clock.currentTimeMillis
  const fingerprint = step.does === "claim other" ? "two" : "one"
  const sendsNow = step.does === "claim sending"
  const answer = yield* store.claim({ ...id, fingerprint, leaseMillis, windowMillis, sendsNow })
  const { firstSentAt, owner } = witness
  const isSettled = witness.state === "settled" && now < witness.settledAt + retentionMillis
  switch (answer._tag) {
    case "Granted": {
      if (owner !== undefined && owner.until > now) problem("granted while a lease lasted", step)
      if (isSettled || witness.state === "unknown") problem(`granted though it is ${witness.state}`, step)
      if (answer.claim.fence <= witness.fence) problem("the fence did not rise", step)
      if (witness.state === "open" && firstSentAt !== undefined && fingerprint !== witness.fingerprint)
        problem("granted to another request", step)
      if (witness.state === "settled") witness.firstSentAt = undefined
      else if (answer.claim.firstSentAt !== firstSentAt) problem("what may be sent was forgotten", step)
      if (firstSentAt !== undefined && witness.state === "open" && now >= firstSentAt + windowMillis)
        problem("granted past the window", step)
      Object.assign(witness, {
        state: "open",
        fingerprint,
        fence: answer.claim.fence,
        owner: { worker: step.worker, claim: answer.claim, until: now + leaseMillis }
      })
      if (sendsNow) witness.firstSentAt ??= now
      return
    }
    case "Settled":
      return isSettled ? undefined : problem("replayed what is not settled", step)
    case "Locked":
      return owner !== undefined && owner.until > now ? undefined : problem("locked by nobody", step)
    case "Mismatch":
      return fingerprint === witness.fingerprint ? problem("refused the same request", step) : undefined
    default:
      if (witness.state === "open" && (firstSentAt === undefined || now < firstSentAt + windowMillis))
        problem("given up before the window ended", step)
      witness.state = "unknown"
      witness.owner = undefined
  }
})

const settlements = {
  pending: { _tag: "Pending" },
  undone: { _tag: "Undone", retentionMillis },
  unknown: { _tag: "Unknown" },
  success: { _tag: "Succeeded", payload: { version: 1, value: "done" }, retentionMillis }
} as const

const settled = (witness: Witness, claim: Claim, does: keyof typeof settlements, now: number) => {
  witness.owner = undefined
  if (does === "success") Object.assign(witness, { state: "settled", settledAt: now })
  else if (does === "undone") witness.firstSentAt = claim.firstSentAt
  else witness.firstSentAt ??= now
  if (does === "unknown") witness.state = "unknown"
}

const step = Effect.fnUntraced(function* (
  store: Store,
  witness: Witness,
  claims: Array<Claim | undefined>,
  step: Step
) {
  yield* TestClock.adjust(step.millis)
  const now = yield* Clock.currentTimeMillis
  const claim = claims[step.worker]
  const { owner } = witness
  if (step.does.startsWith("claim")) {
    yield* claiming(store, witness, step)
    if (witness.owner !== owner) claims[step.worker] = witness.owner?.claim
    return
  }
  const before = yield* store.get(id)
  const isOwner = claim !== undefined && owner?.claim === claim
  if (step.does === "resolve done" || step.does === "resolve undone") {
    const how = step.does === "resolve done" ? "success" : "undone"
    const exit = yield* Effect.exit(store.resolve({ ...id, fence: witness.fence }, settlements[how]))
    if (exit._tag === "Failure") return assert.deepStrictEqual(yield* store.get(id), before)
    const isSame = before?.state === (how === "success" ? "Succeeded" : "Absent")
    if (!isSame && owner !== undefined) problem("resolved what is in flight", step)
    if (isSame) return undefined
    settled(witness, { ...id, fence: 0, leaseUntil: 0, firstSentAt: undefined, takenOver: false }, how, now)
    if (how === "undone") witness.state = "open"
    return undefined
  }
  if (claim === undefined) return undefined
  if (step.does === "sending" || step.does === "renew") {
    const exit = yield* Effect.exit(store[step.does](claim, leaseMillis))
    const mayExtend = isOwner && owner.until > now
    if ((exit._tag === "Success") !== mayExtend) problem(`${exit._tag} of an extension`, step)
    if (!mayExtend) return assert.deepStrictEqual(yield* store.get(id), before)
    owner.until = now + leaseMillis
    if (step.does === "sending") witness.firstSentAt ??= now
    return undefined
  }
  const does = step.does as keyof typeof settlements
  const exit = yield* Effect.exit(store.settle(claim, settlements[does]))
  // Who was the last to be granted it may bring the outcome of what was given up.
  const bringsOutcome = does === "success" && witness.state === "unknown" && claim.fence === witness.fence
  if (isOwner || bringsOutcome) {
    if (exit._tag === "Failure") problem("refused the owner", step)
    settled(witness, claim, does, now)
    return undefined
  }
  // Anybody else changes nothing, whether it is refused or told that it is so already.
  return assert.deepStrictEqual(yield* store.get(id), before)
})

const history = (store: Store, steps: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    const witness = new Witness()
    const claims: Array<Claim | undefined> = []
    for (const each of steps) yield* step(store, witness, claims, each)
  })

const runs = (many: number) => ({ arbitrary: { runs: many, size: 60, seed: "records" } })

describe("IdempotencyStore, any history of three workers", () => {
  it.effect.prop(
    "is one that a single record could have had, in memory",
    [Schema.Array(Step)],
    ([steps]) => history(Idempotency.memory(), steps),
    runs(1500)
  )

  it.effect.prop(
    "is one that a single record could have had, in SQLite",
    [Schema.Array(Step)],
    ([steps]) =>
      Effect.flatMap(Idempotency.IdempotencyStore, (store) => history(store, steps)).pipe(
        Effect.provide(Stores.layerSqlite({ filename: ":memory:" }))
      ),
    runs(150)
  )
})

const row: Record.IdempotencyRecord = {
  ...id,
  state: "Pending",
  fingerprint: "one",
  fence: 7,
  leaseUntil: undefined,
  firstSentAt: 1000,
  changedAt: 2000,
  expiresAt: undefined,
  payload: undefined
}
const request = { ...id, fingerprint: "one", leaseMillis: 10 }

describe("IdempotencyRecord.decide", () => {
  it("sends a key again until the very end of its window, counted from the first send", () => {
    const at = (now: number) => Record.decide(row, { ...request, windowMillis: 500 }, now)
    const [before, after] = [at(1499), at(1500)]

    assert(before._tag === "Write" && after._tag === "Write")
    assert.deepStrictEqual([before.change.state, after.change.state], ["InFlight", "Unknown"])
  })

  it("counts from the last change where it is not known when it was sent", () => {
    const decision = Record.decide({ ...row, firstSentAt: undefined }, { ...request, windowMillis: 500 }, 2499)

    assert(decision._tag === "Write")
    assert.deepStrictEqual([decision.change.state, decision.change.firstSentAt], ["InFlight", 2000])
  })

  it("locks until the lease ends, to the millisecond, and forgets when the retention ends", () => {
    const inFlight = { ...row, state: "InFlight", leaseUntil: 3000 } as const
    const done = { ...row, state: "Succeeded", expiresAt: 3000, payload: { version: 1, json: "1" } } as const
    const tags = [inFlight, done].map((each) => [2999, 3000].map((now) => Record.decide(each, request, now)._tag))

    assert.deepStrictEqual(tags, [
      ["Answer", "Write"],
      ["Answer", "Write"]
    ])
  })

  it("takes over a lease only while it has ended: a renewal in between wins", () => {
    const decision = Record.decide({ ...row, state: "InFlight", leaseUntil: 3000 }, request, 3000)

    assert(decision._tag === "Write")
    const renewed = { ...row, state: "InFlight", leaseUntil: 3500 } as const
    assert.isTrue(Record.meets({ ...renewed, leaseUntil: 3000 }, decision.expected, 3000))
    assert.isFalse(Record.meets(renewed, decision.expected, 3000))
  })
})

describe("IdempotencyStore.over", () => {
  const rows = { settled: { ...row, state: "Absent" }, none: undefined } as const
  const nowhere = { get: () => Effect.undefined, list: () => Effect.succeed([]), purge: () => Effect.succeed(0) }

  it.effect("claims anew where the row that it would take has gone meanwhile", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const found = [rows.settled, rows.none, rows.none]
      const store = Idempotency.over({
        ...nowhere,
        write: (_id, expected, change) => {
          asked.push([expected?.states, change.claimedFor])
          const granted = { ...row, state: "InFlight", leaseUntil: 2000, fence: 9 } as const
          const applied = asked.length === 3
          return Effect.succeed({ applied, row: applied ? granted : found[asked.length - 1], now: 1000 })
        }
      })
      const answer = yield* store.claim(request)

      assert.deepStrictEqual(asked, [
        [undefined, request.fingerprint],
        [["Absent"], request.fingerprint],
        [undefined, request.fingerprint]
      ])
      assert(answer._tag === "Granted")
      assert.deepStrictEqual([answer.claim.fence, answer.claim.takenOver], [9, false])
    })
  )

  it.effect("gives up where the row changes all the time", () =>
    Effect.gen(function* () {
      let asked = 0
      const store = Idempotency.over({
        ...nowhere,
        write: () => {
          asked++
          return Effect.succeed({ applied: false, row: rows.settled, now: 1000 })
        }
      })

      assert.strictEqual((yield* Effect.flip(store.claim(request))).problem, "busy")
      assert.strictEqual(asked, 8)
    })
  )
})

describe("IdempotencyStore.memory", () => {
  it.effect("forgets the oldest settled row beyond its capacity, and no unsettled one", () =>
    Effect.gen(function* () {
      const store = Idempotency.memory({ capacity: 2 })
      const claim = (key: string) => store.claim({ ...request, key })
      const granted = Effect.fnUntraced(function* (key: string) {
        const answer = yield* claim(key)
        return answer._tag === "Granted" ? answer.claim : assert.fail(answer._tag)
      })
      yield* store.settle(yield* granted("a"), settlements.success)
      yield* store.settle(yield* granted("b"), settlements.success)
      const open = yield* granted("c")
      const [a, b] = [yield* store.get({ ...id, key: "a" }), yield* store.get({ ...id, key: "b" })]
      yield* granted("d")
      const full = yield* Effect.flip(claim("e"))
      yield* store.settle(open, settlements.success)

      assert.deepStrictEqual([a, b?.state, full.problem], [undefined, "Succeeded", "full"])
      assert.strictEqual((yield* claim("e"))._tag, "Granted")
    })
  )

  it.effect("refuses who comes late though its row was forgotten and made anew within the same millisecond", () =>
    Effect.gen(function* () {
      const store = Idempotency.memory({ capacity: 1 })
      const first = yield* store.claim({ ...request, leaseMillis: 0 })
      assert(first._tag === "Granted")
      yield* store.settle(first.claim, settlements.success)
      yield* store.claim({ ...request, key: "other", leaseMillis: 0 })
      yield* Effect.flip(store.claim(request))
      const other = yield* store.claim({ ...request, key: "other" })
      assert(other._tag === "Granted")
      yield* store.settle(other.claim, settlements.success)
      const again = yield* store.claim(request)

      assert(again._tag === "Granted")
      assert.isAbove(again.claim.fence, first.claim.fence)
      assert.strictEqual((yield* Effect.flip(store.settle(first.claim, settlements.success)))._tag, "StaleClaim")
    })
  )

  it("refuses to keep nothing", () => {
    assert.throws(() => Idempotency.memory({ capacity: 0 }), RangeError)
  })
})

describe("IdempotencyRecord.scopeOf", () => {
  it("names operation, connection and environment", () => {
    const of = { operation: "stripe.refunds.create", connection: "shop" }

    assert.strictEqual(Record.scopeOf({ ...of, environment: "production" }), "stripe.refunds.create@shop/production")
    assert.strictEqual(Record.scopeOf(of), "stripe.refunds.create@shop/default")
  })

  it("is cut to what every store takes, and stays another for another name", () => {
    const scopes = ["a".repeat(512), "a".repeat(513), "a\nb", "a?b", `${"x".repeat(439)}😀${"y".repeat(100)}`].map(
      (operation) => Record.scopeOf({ operation, connection: "c" })
    )

    assert.strictEqual(new Set(scopes).size, scopes.length)
    for (const scope of scopes)
      assert.isUndefined(keyProblem({ store: "idempotency", operation: "claim" }, "scope", scope), scope)
  })

  it("is as it is up to 512 characters", () => {
    const operation = "a".repeat(512 - "@c/default".length)

    assert.strictEqual(Record.scopeOf({ operation, connection: "c" }), `${operation}@c/default`)
    assert.match(Record.scopeOf({ operation: `${operation}a`, connection: "c" }), /^a{440}~[0-9a-f]{64}$/u)
  })
})
