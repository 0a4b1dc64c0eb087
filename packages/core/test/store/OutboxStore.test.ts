import { assert, describe, it } from "@effect/vitest"
import type { Command, NewCommand } from "@breakwater/core/OutboxStore"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { Effect } from "effect"
import { complete } from "./support/Adapters.ts"

let count = 0
/** A queue that nothing else uses. */
const queueName = () => `mail ${++count}`

const command = (queue: string, key: string, options?: Partial<NewCommand>): NewCommand => ({
  queue,
  key,
  payload: { version: 1, value: { to: key } },
  ...options
})

const store = OutboxStore
const add = (...commands: ReadonlyArray<NewCommand>) => Effect.flatMap(store, (outbox) => outbox.add(commands))
const claim = (queue: string, options?: { readonly limit?: number; readonly leaseMillis?: number }) =>
  Effect.flatMap(store, (outbox) => outbox.claim({ queue, limit: 10, leaseMillis: 60_000, ...options }))
const only = (commands: ReadonlyArray<Command>): Command =>
  commands.length === 1 && commands[0] !== undefined ? commands[0] : assert.fail(JSON.stringify(commands))
const keys = (commands: ReadonlyArray<Command>) => commands.map(({ key }) => key)
const states = (queue: string) =>
  Effect.map(
    Effect.flatMap(store, (outbox) => outbox.counts(queue)),
    (counts) => Object.fromEntries(Object.entries(counts).filter(([, many]) => many > 0))
  )

for (const { layer, name, skip } of complete("outbox", { outbox: { retentionMillis: 0 } })) {
  describe.skipIf(skip)(`OutboxStore in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("gives what was added, in order, with all that it says", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const added = yield* add(command(queue, "a", { orderingKey: "x" }), command(queue, "b"), command(queue, "c"))
          const [first, ...rest] = yield* claim(queue)
          assert(first !== undefined)
          const { addedAt, dueAt, sentAt, sequence, ...told } = first

          assert.strictEqual(added, 3)
          assert.deepStrictEqual(told, {
            queue,
            key: "a",
            orderingKey: "x",
            state: "Claimed",
            fence: 1,
            attempts: 1,
            isUnknown: false,
            note: undefined,
            payload: { version: 1, value: { to: "a" } }
          })
          assert.isAtLeast(dueAt, addedAt + 60_000)
          assert.strictEqual(sentAt, dueAt - 60_000)
          assert.isAbove(sequence, 0)
          assert.deepStrictEqual(keys(rest), ["b", "c"])
          assert.isEmpty(yield* claim(queue))
        })
      )

      it.effect("gives no more than is asked for, and nothing of another queue", () =>
        Effect.gen(function* () {
          const [queue, other] = [queueName(), queueName()]
          yield* add(command(queue, "a"), command(queue, "b"), command(queue, "c"), command(other, "z"))

          assert.deepStrictEqual(keys(yield* claim(queue, { limit: 2 })), ["a", "b"])
          assert.deepStrictEqual(keys(yield* claim(queue, { limit: 2 })), ["c"])
        })
      )

      it.effect("gives each command to one of many who ask at once", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const names = Array.from({ length: 40 }, (_, index) => `command ${index}`)
          yield* add(...names.map((key, index) => command(queue, key, index % 3 === 0 ? { orderingKey: key } : {})))
          const batches = yield* Effect.all(
            Array.from({ length: 16 }, () => claim(queue, { limit: 5 })),
            { concurrency: "unbounded" }
          )
          const left = yield* claim(queue, { limit: 100 })

          assert.deepStrictEqual(keys([...batches.flat(), ...left]).toSorted(), names.toSorted())
        })
      )

      it.effect("adds a command once, also within one addition, and refuses another under its name", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const first = yield* add(command(queue, "a"), command(queue, "a"))
          const second = yield* add(command(queue, "a"), command(queue, "b"))
          const other = { payload: { version: 1, value: "other" } }
          const [payload, order, within] = [
            yield* Effect.flip(add(command(queue, "c"), command(queue, "a", other))),
            yield* Effect.flip(add(command(queue, "c"), command(queue, "a", { orderingKey: "x" }))),
            yield* Effect.flip(add(command(queue, "c"), command(queue, "c", other)))
          ]

          assert.deepStrictEqual([first, second], [1, 1])
          assert.deepStrictEqual([payload.problem, order.problem, within.problem], ["invalid", "invalid", "invalid"])
          assert.deepStrictEqual(keys(yield* claim(queue)), ["a", "b"])
        })
      )

      it.effect("does not add again what is done", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          yield* add(command(queue, "a"))
          yield* outbox.complete(yield* claim(queue))

          assert.strictEqual(yield* add(command(queue, "a")), 0)
          assert.isEmpty(yield* claim(queue))
        })
      )

      it.effect("adds nothing of what holds something that cannot be kept", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const bad: ReadonlyArray<Partial<NewCommand>> = [
            { key: "" },
            { key: "x".repeat(513) },
            { queue: "a\u0000" },
            { orderingKey: "" },
            { payload: { version: 1, value: 1n } },
            { payload: { version: -1, value: 1 } },
            { payload: { version: 1, value: "x".repeat(1_048_576) } }
          ]
          for (const options of bad) {
            const error = yield* Effect.flip(add(command(queue, "fine"), command(queue, "bad", options)))
            assert.deepStrictEqual([error._tag, error.problem], ["StoreError", "invalid"])
          }

          assert.deepStrictEqual(yield* states(queue), {})
        })
      )

      it.effect("gives commands of one ordering key one after the other, whatever becomes of the first", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          const inOrder = (key: string) => command(queue, key, { orderingKey: "customer" })
          yield* add(inOrder("1"), inOrder("2"), command(queue, "free"), inOrder("3"))
          const [first] = yield* claim(queue)
          assert(first !== undefined)
          const whileClaimed = yield* claim(queue)
          yield* outbox.reschedule(first, { afterMillis: 60_000 })
          const whileScheduled = yield* claim(queue)

          assert.deepStrictEqual([whileClaimed, whileScheduled], [[], []])
          assert.deepStrictEqual(yield* states(queue), { Scheduled: 1, Ready: 2, Claimed: 1 })
        })
      )

      it.effect(
        "goes on with an ordering key when its first is done, and stops behind a dead one until it is discarded",
        () =>
          Effect.gen(function* () {
            const queue = queueName()
            const outbox = yield* store
            const inOrder = (key: string) => command(queue, key, { orderingKey: "customer" })
            yield* add(inOrder("1"), inOrder("2"), inOrder("3"))
            yield* outbox.complete(yield* claim(queue))
            const second = only(yield* claim(queue))
            yield* outbox.bury(second, { note: "no such customer" })
            const behindTheDead = yield* claim(queue)
            const discarded = yield* outbox.discard(second.sequence)
            const third = only(yield* claim(queue))

            assert.deepStrictEqual([second.key, behindTheDead, discarded, third.key], ["2", [], true, "3"])
          })
      )

      it.effect("keeps ordering keys of two queues apart", () =>
        Effect.gen(function* () {
          const [queue, other] = [queueName(), queueName()]
          yield* add(command(queue, "a", { orderingKey: "x" }), command(other, "b", { orderingKey: "x" }))

          assert.deepStrictEqual([keys(yield* claim(queue)), keys(yield* claim(other))], [["a"], ["b"]])
        })
      )

      it.effect("does not give a command before its time", () =>
        Effect.gen(function* () {
          const queue = queueName()
          yield* add(command(queue, "later", { delayMillis: 60_000 }), command(queue, "now", { delayMillis: 0 }))

          assert.deepStrictEqual(keys(yield* claim(queue)), ["now"])
        })
      )

      it.effect("gives a command again whose lease has ended, counts that, and refuses who comes late", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          yield* add(command(queue, "a"))
          const first = only(yield* claim(queue, { leaseMillis: 0 }))
          const second = only(yield* claim(queue))
          const late = [
            yield* Effect.flip(outbox.reschedule(first, { afterMillis: 0 })),
            yield* Effect.flip(outbox.bury(first))
          ]

          assert.deepStrictEqual([second.attempts, second.fence], [2, 2])
          for (const error of late) {
            assert(error._tag === "StaleClaim")
            assert.deepStrictEqual([error.fence, error.current], [1, 2])
          }
          assert.deepStrictEqual(yield* outbox.complete([first, second]), [first])
          assert.deepStrictEqual(yield* states(queue), { Done: 1 })
        })
      )

      it.effect("completes what it is told twice, and says what was lost", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          yield* add(command(queue, "a"), command(queue, "b"))
          const claims = yield* claim(queue)
          const unknown = { sequence: 1_000_000_000, fence: 1 }

          assert.isEmpty(yield* outbox.complete(claims))
          assert.deepStrictEqual(yield* outbox.complete([...claims, unknown]), [unknown])
          assert.isEmpty(yield* outbox.complete([]))
        })
      )

      it.effect("holds a command for longer when it is renewed, and says which are lost", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          yield* add(command(queue, "a"), command(queue, "b"))
          const [a, b] = yield* claim(queue, { leaseMillis: 0 })
          assert(a !== undefined && b !== undefined)
          yield* claim(queue, { limit: 1 })
          const lost = yield* outbox.renew([a, b], 60_000)

          assert.deepStrictEqual(keys(lost as ReadonlyArray<Command>), ["a"])
          assert.isEmpty(yield* claim(queue))
        })
      )

      it.effect("gives a command again after it was rescheduled, with what was said of it", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          yield* add(command(queue, "a"))
          yield* outbox.reschedule(only(yield* claim(queue)), { afterMillis: 0, note: "n".repeat(3000) })
          const again = only(yield* claim(queue))

          assert.deepStrictEqual([again.attempts, again.note?.length], [2, 2000])
        })
      )

      it.effect("remembers since when a command may have been done, and whether somebody must find out", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          const told = Effect.map(outbox.get(queue, "a"), (kept) => [kept?.sentAt !== undefined, kept?.isUnknown])
          yield* add(command(queue, "a"))
          const seen = [yield* told]
          const claimed = claim(queue, { leaseMillis: 60_000 })
          const first = only(yield* claimed)
          yield* outbox.reschedule(first, { afterMillis: 0 })
          seen.push(yield* told)
          const second = only(yield* claimed)
          yield* outbox.reschedule(second, { afterMillis: 0, sent: "unknown" })
          seen.push(yield* told)
          yield* outbox.reschedule(only(yield* claimed), { afterMillis: 0, sent: "no" })
          seen.push(yield* told)
          yield* outbox.bury(only(yield* claimed), { sent: "unknown" })
          seen.push(yield* told)
          yield* outbox.redrive(first.sequence)
          seen.push(yield* told)

          assert.strictEqual(second.sentAt, first.sentAt)
          assert.deepStrictEqual(seen, [
            [false, false],
            [true, false],
            [true, true],
            [false, false],
            [true, true],
            [false, false]
          ])
        })
      )

      it.effect(
        "gives a command by its key, and says of one that was tried before it was added that it may be done",
        () =>
          Effect.gen(function* () {
            const queue = queueName()
            const outbox = yield* store
            yield* add(command(queue, "a", { maybeSent: true }), command(queue, "b"))
            const [a, b] = [yield* outbox.get(queue, "a"), yield* outbox.get(queue, "b")]

            assert.deepStrictEqual(
              [a?.key, a?.state, a?.sentAt, b?.sentAt],
              ["a", "Ready", (a?.addedAt ?? 0) - 1, undefined]
            )
            assert.deepStrictEqual(
              [yield* outbox.get(queue, "c"), yield* outbox.get(queueName(), "a")],
              [undefined, undefined]
            )
          })
      )

      it.effect("shows what is dead, and redrives it as if it had never been tried", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          yield* add(command(queue, "a"), command(queue, "b"), command(queue, "c"))
          for (const each of yield* claim(queue)) yield* outbox.bury(each, { note: "declined" })
          const list = (options: object) => outbox.list({ queue, states: ["Dead"], limit: 10, ...options })
          const [first, second] = yield* list({})
          assert(first !== undefined && second !== undefined)
          const page = yield* list({ limit: 1, after: first.sequence })
          const redriven = yield* outbox.redrive(first.sequence)
          const again = only(yield* claim(queue))

          assert.deepStrictEqual([first.key, first.note, keys(page), redriven], ["a", "declined", ["b"], true])
          assert.deepStrictEqual([again.key, again.attempts, again.fence], ["a", 1, 2])
          assert.deepStrictEqual(keys(yield* list({})), ["b", "c"])
        })
      )

      it.effect("redrives what was discarded, in its place, but nothing that is at work or done", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          const inOrder = (key: string) => command(queue, key, { orderingKey: "x" })
          yield* add(inOrder("1"), inOrder("2"))
          const first = only(yield* claim(queue))
          const atWork = [yield* outbox.redrive(first.sequence), yield* outbox.discard(first.sequence)]
          yield* outbox.reschedule(first, { afterMillis: 60_000 })
          const discarded = [yield* outbox.discard(first.sequence), yield* outbox.discard(first.sequence)]
          yield* outbox.redrive(first.sequence)
          const again = only(yield* claim(queue))
          yield* outbox.complete([again])

          assert.deepStrictEqual([atWork, discarded, again.key], [[false, false], [true, false], "1"])
          assert.isFalse(yield* outbox.redrive(again.sequence))
          assert.isFalse(yield* outbox.redrive(1_000_000_000))
        })
      )

      it.effect("forgets what is done and discarded when its time is over, and nothing else", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          yield* outbox.purge(1000)
          yield* add(...["done", "discarded", "dead", "scheduled", "ready"].map((key) => command(queue, key)))
          const [done, discarded, dead, scheduled, ready] = yield* claim(queue, { leaseMillis: 0 })
          assert(done && discarded && dead && scheduled && ready)
          yield* outbox.complete([done])
          yield* outbox.bury(discarded)
          yield* outbox.discard(discarded.sequence)
          yield* outbox.bury(dead)
          yield* outbox.reschedule(scheduled, { afterMillis: 60_000 })

          assert.strictEqual(yield* outbox.purge(1), 1)
          yield* outbox.purge(1000)
          assert.deepStrictEqual(yield* states(queue), { Dead: 1, Scheduled: 1, Claimed: 1 })
          assert.strictEqual(yield* add(command(queue, "done")), 1)
        })
      )

      it.effect("adds and settles a thousand at a time", () =>
        Effect.gen(function* () {
          const queue = queueName()
          const outbox = yield* store
          const added = yield* add(...Array.from({ length: 1200 }, (_, index) => command(queue, `key ${index}`)))
          const claims = yield* claim(queue, { limit: 1200 })
          yield* outbox.renew(claims, 60_000)
          const lost = yield* outbox.complete(claims)

          assert.deepStrictEqual([added, claims.length, lost], [1200, 1200, []])
          assert.deepStrictEqual(yield* states(queue), { Done: 1200 })
        })
      )
    })
  })
}
