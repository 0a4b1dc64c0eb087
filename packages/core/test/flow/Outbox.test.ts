import { assert, describe, it } from "@effect/vitest"
import * as Outbox from "@breakwater/core/Outbox"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import type { ProviderError } from "@breakwater/core/ProviderError"
import { make as storeError } from "@breakwater/core/StoreError"
import { Cause, Data, Duration, Effect, Fiber, Layer, Logger, Schedule, Schema } from "effect"
import { inTime } from "./support/InTime.ts"
import { Mail, all, circuitOpen, counts, fatal, recording, retryable, unknown } from "./support/Mails.ts"

/** The lines that are written, with their level. */
const collecting = (lines: Array<string>) =>
  Logger.layer([Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))])

const memory = OutboxMemory.layer()

const day = 86_400_000

/** Adds one mail and works for a while; what the handler saw, how the queue stands, and the note. */
const oneMail = <E>(queue: ReturnType<typeof recording<E>>, span: Duration.Input = "3 days") =>
  inTime(
    Effect.gen(function* () {
      yield* queue.mails.add({ to: "ada" }, { key: "a" })
      yield* Effect.timeoutOption(queue.mails.run({ concurrency: 1, pollEvery: "10 minutes" }), span)
      const [kept] = yield* all
      return { state: kept?.state, attempts: kept?.attempts, note: kept?.note, isUnknown: kept?.isUnknown }
    }).pipe(Effect.provide(memory))
  )

/** Not before its time, and then at the next poll. */
const isFrom = (actual: number | undefined, expected: number) =>
  assert.isTrue(actual !== undefined && actual >= expected && actual <= expected + 600_000, `${actual}, ${expected}`)

const times = ({ seen }: ReturnType<typeof recording<unknown>>) => seen.map(({ at }) => at - (seen[0]?.at ?? 0))

class Declined extends Data.TaggedError("Declined")<{ readonly card: string }> {
  override get message() {
    return `declined: ${this.card}`
  }
}

describe("Outbox.add", () => {
  it("keeps a command under its key, once, in the form that its schema has in JSON", () => {
    const queue = Outbox.make({
      queue: "mail",
      payload: Schema.Struct({ at: Schema.Date }),
      handle: () => Effect.void
    })
    const found = inTime(
      Effect.gen(function* () {
        const payload = { at: new Date(0) }
        const added = [yield* queue.add(payload, { key: "a" }), yield* queue.add(payload, { key: "a" })]
        const [kept] = yield* all
        const [listed] = yield* queue.list({ states: ["Ready"] })
        return { added, payload: kept?.payload, value: listed?.value }
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(found, {
      added: [true, false],
      payload: { version: 1, value: { at: "1970-01-01T00:00:00.000Z" } },
      value: { at: new Date(0) }
    })
  })

  it("adds all of many or none, and names the field and the rule of what cannot be kept", () => {
    const queue = Outbox.make({
      queue: "mail",
      payload: Schema.Struct({ to: Schema.NonEmptyString, extra: Schema.optional(Schema.Unknown) }),
      handle: () => Effect.void
    })
    const circular: { self?: unknown } = {}
    circular.self = circular
    const bad = [
      { payload: { to: "" }, key: "b" },
      { payload: { to: "ada", extra: 1n }, key: "b" },
      { payload: { to: "ada", extra: () => 1 }, key: "b" },
      { payload: { to: "ada", extra: circular }, key: "b" },
      { payload: { to: "x".repeat(1_048_576) }, key: "b" },
      { payload: { to: "ada" }, key: "k".repeat(513) },
      { payload: { to: "ada" }, key: "" },
      { payload: { to: "ada" }, key: "b", orderingKey: "a\nb" },
      { payload: { to: "eve" }, key: "a" }
    ]
    const found = inTime(
      Effect.gen(function* () {
        yield* queue.add({ to: "ada" }, { key: "a" })
        const errors = yield* Effect.forEach(bad, (each) =>
          Effect.flip(queue.addAll([{ payload: { to: "fine" }, key: "fine" }, each]))
        )
        return { messages: errors.map(({ message }) => message), counts: yield* counts(queue) }
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(found.counts, { Ready: 1 })
    assert.deepStrictEqual(
      found.messages.map((message) => message.replace("outbox store, add: invalid: ", "")),
      [
        "payload.to must be a value with a length of at least 1",
        "payload.extra must be JSON value",
        "payload.extra must be JSON value",
        "payload.extra must be JSON value",
        "the payload must have at most 1048576 bytes, has more",
        "key must have 1 to 512 characters, has 513",
        "key must have 1 to 512 characters, has 0",
        "ordering key must not have control characters or broken surrogates",
        "the key is there with another payload or ordering key"
      ]
    )
  })

  it("wakes a worker of the same process at once", () => {
    const queue = recording()
    inTime(
      Effect.gen(function* () {
        yield* Effect.forkScoped(queue.mails.run({ pollEvery: "1 hour" }))
        yield* Effect.sleep("1 day")
        yield* queue.mails.add({ to: "ada" }, { key: "a" })
        yield* Effect.sleep("1 millis")
      }).pipe(Effect.provide(memory))
    )

    assert.strictEqual(queue.seen.length, 1)
  })

  it("does not carry out a command before its time", () => {
    const queue = recording()
    const started = inTime(
      Effect.gen(function* () {
        yield* queue.mails.add({ to: "ada" }, { key: "a", delay: "1 hour" })
        const [kept] = yield* all
        yield* Effect.timeoutOption(queue.mails.run(), "2 hours")
        return kept?.addedAt ?? 0
      }).pipe(Effect.provide(memory))
    )

    const waited = (queue.seen[0]?.at ?? 0) - started
    assert.isTrue(waited >= 3_600_000 && waited <= 3_601_000, `${waited}`)
  })
})

describe("Outbox.make", () => {
  it("refuses options out of range by name", () => {
    const base = { queue: "mail", payload: Mail, handle: () => Effect.void }
    const bad = [
      [{ queue: "" }, "Outbox.make: queue must have 1 to 512 characters, has 0"],
      [{ version: 1.5 }, "Outbox.make: version must be a whole number of at least 0, got 1.5"],
      [{ jitter: 2 }, "Outbox.make: jitter must be from 0 to 1, got 2"],
      [{ schedule: [Infinity] }, "Outbox.make: a pause of schedule must be finite"]
    ] as const
    const worker = [
      [{ concurrency: 0 }, "Outbox worker: concurrency must be a whole number of at least 1, got 0"],
      [{ concurrency: 8, batch: 4 }, "Outbox worker: batch must be a whole number of at least 8, got 4"],
      [{ lease: "1 millis" }, "Outbox worker: lease must be at least 10 ms and finite, got 1 ms"],
      [{ pollEvery: 0 }, "Outbox worker: pollEvery must be at least 1 ms and finite, got 0 ms"]
    ] as const

    for (const [options, message] of bad) assert.throws(() => Outbox.make({ ...base, ...options }), message)
    for (const [options, message] of worker) assert.throws(() => Outbox.make(base).run(options), message)
  })
})

describe("An outbox's worker", () => {
  it("gives the handler the key and what is known of the command, and keeps what is done", () => {
    const queue = recording()
    const end = oneMail(queue)

    assert.deepStrictEqual(
      queue.seen.map(({ occasion, to }) => ({ ...occasion, addedAt: 0, to })),
      [{ key: "a", orderingKey: undefined, attempt: 1, maybeSent: false, addedAt: 0, to: "ada" }]
    )
    assert.deepStrictEqual(end, { state: "Done", attempts: 1, note: undefined, isUnknown: false })
  })

  it("tries again on the schedule of eight attempts what may pass, and then gives up", () => {
    const queue = recording(() => Effect.fail(retryable({ sent: "no" })))
    const end = oneMail(queue)

    const planned = [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000]
    const pauses = times(queue).map((at, index, all) => at - (all[index - 1] ?? 0))
    assert.strictEqual(pauses.length, planned.length)
    pauses.forEach((pause, index) => isFrom(pause, (planned[index] ?? 0) * 1000))
    assert.deepStrictEqual(end, {
      state: "Dead",
      attempts: 8,
      note: "given up after 8 attempts: sendgrid.mail.send: transport failed with ECONNRESET",
      isUnknown: false
    })
  })

  it("waits as long as the provider asks for, or our own policies", () => {
    const limited = recording((_, attempt) =>
      attempt === 1 ? Effect.fail(retryable({ after: "1 hour" })) : Effect.void
    )
    const open = recording((_, attempt) => (attempt === 1 ? Effect.fail(circuitOpen) : Effect.void))
    oneMail(limited)
    oneMail(open)

    isFrom(times(limited)[1], 3_600_000)
    isFrom(times(open)[1], 120_000)
    assert.deepStrictEqual(
      [limited, open].map(({ seen }) => seen[1]?.occasion.maybeSent),
      [true, false]
    )
  })

  it("follows a Schedule that is given, counted from its start", () => {
    const schedule = Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 3 }))
    const queue = recording(() => Effect.fail(retryable()), { schedule })
    const end = oneMail(queue)

    times(queue).forEach((at, index) => assert.closeTo(at, [0, 1000, 3000, 7000][index] ?? -1, 3100))
    assert.deepStrictEqual([end.state, end.attempts], ["Dead", 4])
  })

  it("makes pauses longer and shorter by the jitter", () => {
    const queue = recording(() => Effect.fail(retryable({ sent: "no" })), { schedule: ["100 minutes"], jitter: 0.2 })
    inTime(
      Effect.gen(function* () {
        yield* queue.mails.addAll(Array.from({ length: 50 }, (_, index) => ({ payload: { to: "" }, key: `${index}` })))
        yield* Effect.timeoutOption(queue.mails.run({ pollEvery: "10 seconds" }), "3 hours")
      }).pipe(Effect.provide(memory))
    )

    const [first] = queue.seen
    const later = queue.seen
      .filter(({ occasion }) => occasion.attempt === 2)
      .map(({ at }) => (at - (first?.at ?? 0)) / 60_000)
    assert.strictEqual(later.length, 50)
    assert.isTrue(Math.min(...later) >= 80 && Math.max(...later) <= 120.1)
    assert.isAbove(Math.max(...later) - Math.min(...later), 20)
  })

  it("puts what trying again does not change among the dead, with why, without what is secret", () => {
    const ends = [
      recording(() => Effect.fail(fatal)),
      recording(() => Effect.fail(new Declined({ card: "4242 4242 4242 4242" })))
    ].map((queue) => oneMail<unknown>(queue as never))

    assert.deepStrictEqual(ends, [
      { state: "Dead", attempts: 1, note: "sendgrid.mail.send: not found (404)", isUnknown: false },
      { state: "Dead", attempts: 1, note: "declined: <redacted>", isUnknown: false }
    ])
  })

  it("does with other errors what classify says", () => {
    const dispositions: ReadonlyArray<Outbox.Disposition | undefined> = [
      "dead",
      "unknown",
      "retry",
      { retryAfter: "7 minutes" },
      undefined
    ]
    const ends = dispositions.map((disposition) => {
      const queue = recording((_, attempt) => (attempt === 1 ? Effect.fail("busy") : Effect.void), {
        classify: () => disposition
      })
      const { isUnknown, note, state } = oneMail(queue)
      return [state, note, isUnknown, (times(queue)[1] ?? 0) >= 420_000 ? "later" : times(queue).length]
    })

    assert.deepStrictEqual(ends, [
      ["Dead", "busy", false, 1],
      ["Dead", "outcome unknown: busy", true, 1],
      ["Done", "busy", false, 2],
      ["Done", "busy", false, "later"],
      ["Dead", "busy", false, 1]
    ])
  })

  it("tries a handler again whose own store may come back, and one that dies", () => {
    const busy = recording((_, attempt) =>
      attempt === 1 ? Effect.fail(storeError({ store: "idempotency", operation: "claim" }, "busy")) : Effect.void
    )
    const bug = recording(() => Effect.die(new Error("password=hunter2 is undefined")))
    const interrupted = recording((_, attempt) => (attempt === 1 ? Effect.interrupt : Effect.void))
    const throwing = recording((_, attempt) => {
      if (attempt > 1) return Effect.void
      throw new TypeError("not a function")
    })

    assert.strictEqual(oneMail(busy).state, "Done")
    assert.deepStrictEqual(oneMail(interrupted).state, "Done")
    assert.deepStrictEqual(oneMail(throwing), {
      state: "Done",
      attempts: 2,
      note: "defect: not a function",
      isUnknown: false
    })
    const end = oneMail(bug)
    assert.deepStrictEqual(end.state, "Dead")
    assert.notInclude(end.note, "hunter2")
  })

  it("does not try again what nobody knows, also when it is asked again", () => {
    const queue = recording(() => Effect.fail(unknown))

    assert.deepStrictEqual(oneMail(queue), {
      state: "Dead",
      attempts: 1,
      note: "outcome unknown: sendgrid.mail.send: outcome unknown, transport failed with ECONNRESET",
      isUnknown: true
    })
    assert.strictEqual(queue.seen.length, 1)
  })

  it("asks onUnknown what became of it, and never tries before it knows", () => {
    const answers: ReadonlyArray<ReadonlyArray<Outbox.Finding>> = [
      ["done"],
      ["not done"],
      [{ askAfter: "10 minutes" }, { askAfter: "10 minutes" }, "done"],
      ["dead"]
    ]
    const ends = answers.map((findings) => {
      let asked = 0
      const queue = recording((_, attempt) => (attempt === 1 ? Effect.fail(unknown) : Effect.void), {
        onUnknown: () => Effect.sync(() => findings[asked++] ?? "dead")
      })
      const { isUnknown, state } = oneMail(queue)
      return { state, isUnknown, tried: queue.seen.map(({ occasion }) => occasion.maybeSent), asked }
    })

    assert.deepStrictEqual(ends, [
      { state: "Done", isUnknown: false, tried: [false], asked: 1 },
      { state: "Done", isUnknown: false, tried: [false, false], asked: 1 },
      { state: "Done", isUnknown: true, tried: [false], asked: 3 },
      { state: "Dead", isUnknown: true, tried: [false], asked: 1 }
    ])
  })

  it("does not ask for ever at once where onUnknown says each time that it was not done", () => {
    const queue = recording(() => Effect.fail(unknown), {
      schedule: ["1 second", "10 seconds"],
      onUnknown: () => Effect.succeed("not done" as const)
    })

    assert.deepStrictEqual(oneMail(queue, "1 hour"), {
      state: "Dead",
      attempts: 3,
      note: "given up after 3 attempts: outcome unknown: sendgrid.mail.send: outcome unknown, transport failed with ECONNRESET",
      isUnknown: false
    })
    const [first = 0, second = 0, third = 0] = times(queue)
    assert.isTrue(second - first < 1000 && third - second >= 10_000, times(queue).join())
  })

  it("asks onUnknown again on the schedule while it fails, and keeps the command from being tried", () => {
    let asked = 0
    const mails = Outbox.make({
      queue: "mail",
      payload: Mail,
      schedule: ["1 second", "1 second"],
      handle: () => Effect.fail(unknown),
      onUnknown: () => Effect.suspend(() => Effect.fail(`down ${++asked}`))
    })
    const kept = inTime(
      Effect.gen(function* () {
        yield* mails.add({ to: "ada" }, { key: "a" })
        yield* Effect.timeoutOption(mails.run(), "1 minute")
        return (yield* all)[0]
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(
      [kept?.state, kept?.isUnknown, kept?.note, asked],
      [
        "Dead",
        true,
        "outcome unknown: sendgrid.mail.send: outcome unknown, transport failed with ECONNRESET; to find out failed: down 3",
        3
      ]
    )
  })

  it("does not send again under a key that the provider may have forgotten", () => {
    const lost = recording(() => Effect.fail(retryable({ after: "20 hours" })))
    const refused = recording(() => Effect.fail(retryable({ after: "30 hours", sent: "no" })))
    const limited = recording(() => Effect.fail(retryable({ after: "2 hours", until: 60_000 })))
    const ends = [lost, refused, limited].map((queue) => oneMail(queue, "2 days"))

    assert.deepStrictEqual(
      ends.map(({ attempts, isUnknown, state }) => [state, attempts, isUnknown]),
      [
        ["Dead", 2, true],
        ["Scheduled", 2, false],
        ["Dead", 1, true]
      ]
    )
  })

  it("finds out before it tries what a process left behind that died a day ago", () => {
    const queue = recording(() => Effect.void)
    const end = inTime(
      Effect.gen(function* () {
        const store = yield* OutboxStore
        yield* queue.mails.add({ to: "ada" }, { key: "a" })
        yield* store.claim({ queue: "mail", limit: 1, leaseMillis: 1000 })
        yield* Effect.sleep("1 day")
        yield* Effect.timeoutOption(queue.mails.run(), "1 minute")
        return (yield* all)[0]
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual([end?.state, end?.isUnknown, queue.seen.length], ["Dead", true, 0])
  })

  it("leaves what a newer version wrote, and what cannot be read, among the dead as it is, and goes on with the others", () => {
    const queue = recording()
    const found = inTime(
      Effect.gen(function* () {
        const store = yield* OutboxStore
        const payloads = [
          { version: 2, value: { to: "ada" } },
          { version: 1, value: { to: 7 } },
          { version: 1, value: { to: "ada" } }
        ]
        yield* store.add(payloads.map((payload, index) => ({ queue: "mail", key: `${index}`, payload })))
        yield* Effect.timeoutOption(queue.mails.run(), "1 minute")
        const listed = yield* queue.mails.list()
        return {
          dead: listed.map(({ note, payload, value }) => ({ note, payload, value })),
          counts: yield* counts(queue.mails)
        }
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(found, {
      dead: [
        {
          note: "version 2 of the payload is newer than 1, which this program knows",
          payload: { version: 2, value: { to: "ada" } },
          value: undefined
        },
        { note: "payload.to must be string", payload: { version: 1, value: { to: 7 } }, value: undefined }
      ],
      counts: { Done: 1, Dead: 2 }
    })
  })

  it("gives up a command that takes its workers with it", () => {
    const queue = recording(() => Effect.void, { keyWindow: Infinity })
    const end = inTime(
      Effect.gen(function* () {
        const store = yield* OutboxStore
        yield* queue.mails.add({ to: "ada" }, { key: "a" })
        for (let death = 0; death < 16; death++) {
          yield* store.claim({ queue: "mail", limit: 1, leaseMillis: 1000 })
          yield* Effect.sleep("1 second")
        }
        yield* Effect.timeoutOption(queue.mails.run(), "1 minute")
        return (yield* all)[0]
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(
      [end?.state, end?.note, queue.seen.length],
      ["Dead", "given up: claimed 17 times, and no worker came to its end", 0]
    )
  })

  it("runs as many at once as it may, and those of one ordering key one after the other", () => {
    let [running, most] = [0, 0]
    const queue = recording(() =>
      Effect.acquireUseRelease(
        Effect.sync(() => (most = Math.max(most, ++running))),
        () => Effect.sleep("1 second"),
        () => Effect.sync(() => running--)
      )
    )
    const took = inTime(
      Effect.gen(function* () {
        const free = Array.from({ length: 12 }, (_, index) => ({ payload: { to: "free" }, key: `free ${index}` }))
        const ordered = ["1", "2", "3"].map((to) => ({ payload: { to }, key: to, orderingKey: "customer" }))
        yield* queue.mails.addAll([...ordered, ...free])
        yield* Effect.timeoutOption(queue.mails.run({ concurrency: 4 }), "1 minute")
        return yield* counts(queue.mails)
      }).pipe(Effect.provide(memory))
    )

    const ordered = queue.seen.filter(({ to }) => to !== "free")
    assert.deepStrictEqual([took, most, ordered.map(({ to }) => to)], [{ Done: 15 }, 4, ["1", "2", "3"]])
    ordered.forEach(({ at }, index) => assert.isAtLeast(at - (ordered[index - 1]?.at ?? 0), 1000))
    // 15 of a second each, 4 at once: nobody waits for a poll.
    const last = queue.seen.at(-1)
    assert.isBelow((last?.at ?? 0) - (queue.seen[0]?.at ?? 0), 4500)
  })

  it("keeps what takes longer than its lease from other workers", () => {
    const queue = recording(() => Effect.sleep("10 minutes"))
    const left = inTime(
      Effect.gen(function* () {
        yield* queue.mails.add({ to: "ada" }, { key: "a" })
        const run = queue.mails.run({ lease: "30 seconds" })
        yield* Effect.timeoutOption(Effect.all([run, run], { concurrency: 2 }), "11 minutes")
        return yield* counts(queue.mails)
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual([left, queue.seen.length], [{ Done: 1 }, 1])
  })

  it("keeps what waits for its turn longer than its lease, and begins nothing whose lease has ended or is lost", () => {
    const timeout = storeError({ store: "outbox", operation: "renew" }, "timeout")
    const stores: ReadonlyArray<(store: OutboxStore["Service"]) => OutboxStore["Service"]> = [
      (store) => store,
      (store) => ({ ...store, renew: () => Effect.fail(timeout) }),
      (store) => ({ ...store, renew: (claims) => Effect.succeed(claims) })
    ]
    const begun = stores.map((change) => {
      const queue = recording(() => Effect.sleep("20 seconds"))
      inTime(
        Effect.gen(function* () {
          const store = OutboxMemory.make()
          const two = ["1", "2", "3"].map((to) => ({ payload: { to }, key: to }))
          yield* Effect.provideService(queue.mails.addAll(two), OutboxStore, store)
          const run = queue.mails.run({ concurrency: 1, batch: 64, lease: "30 seconds", pollEvery: "1 hour" })
          yield* Effect.timeoutOption(Effect.provideService(run, OutboxStore, change(store)), "50 seconds")
        })
      )
      return queue.seen.map(({ occasion, to }) => `${to}, attempt ${occasion.attempt}`)
    })

    assert.deepStrictEqual(begun, [
      ["1, attempt 1", "2, attempt 1", "3, attempt 1"],
      // Claimed again, by the worker itself, when their leases had ended.
      ["1, attempt 1", "2, attempt 1", "3, attempt 2"],
      ["1, attempt 1", "2, attempt 2"]
    ])
  })

  it("lets what is at work end when it is to end, claims nothing new, and leaves what takes longer than the grace", () => {
    const queue = recording(({ to }) => Effect.sleep(to === "long" ? "1 hour" : "5 seconds"))
    const found = inTime(
      Effect.gen(function* () {
        yield* queue.mails.addAll(["short", "long"].map((to) => ({ payload: { to }, key: to })))
        const worker = yield* Effect.forkScoped(queue.mails.run({ shutdownGrace: "10 seconds", lease: "1 minute" }))
        yield* Effect.sleep("1 second")
        const ending = yield* Effect.forkScoped(Fiber.interrupt(worker))
        yield* Effect.sleep("1 millis")
        yield* queue.mails.add({ to: "short" }, { key: "late" })
        const [took] = yield* Effect.timed(Fiber.join(ending))
        const then = yield* counts(queue.mails)
        yield* Effect.sleep("1 minute")
        const store = yield* OutboxStore
        const due = yield* store.claim({ queue: "mail", limit: 10, leaseMillis: 1000 })
        return { took: Math.round(Duration.toSeconds(took)), after: then, due: due.map(({ key }) => key) }
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(found, { took: 10, after: { Done: 1, Claimed: 1, Ready: 1 }, due: ["long", "late"] })
  })

  it("lets end, too, what it claimed again while it still had it", () => {
    let ended = 0
    const queue = recording(() =>
      Effect.andThen(
        Effect.sleep("40 seconds"),
        Effect.sync(() => ended++)
      )
    )
    const timeout = storeError({ store: "outbox", operation: "renew" }, "timeout")
    inTime(
      Effect.gen(function* () {
        const store = OutboxMemory.make()
        yield* Effect.provideService(queue.mails.add({ to: "ada" }, { key: "a" }), OutboxStore, store)
        const run = queue.mails.run({ concurrency: 2, batch: 2, lease: "30 seconds", shutdownGrace: "1 minute" })
        const deaf = OutboxStore.of({ ...store, renew: () => Effect.fail(timeout) })
        yield* Effect.timeoutOption(Effect.provideService(run, OutboxStore, deaf), "45 seconds")
      }).pipe(Effect.provide(Logger.layer([])))
    )

    assert.deepStrictEqual([queue.seen.length, ended], [2, 2])
  })

  it("waits while the store is down, says so once, and goes on without doing anything twice", () => {
    const lines: Array<string> = []
    const queue = recording()
    const end = inTime(
      Effect.gen(function* () {
        const store = OutboxMemory.make()
        let isDown = true
        const down = storeError({ store: "outbox", operation: "complete" }, "unavailable")
        const failing = OutboxStore.of({
          ...store,
          complete: (claims) => Effect.suspend(() => (isDown ? Effect.fail(down) : store.complete(claims)))
        })
        const provided = Effect.provideService(queue.mails.run({ lease: "10 minutes" }), OutboxStore, failing)
        yield* Effect.provideService(queue.mails.add({ to: "ada" }, { key: "a" }), OutboxStore, store)
        yield* Effect.forkScoped(provided)
        yield* Effect.sleep("5 minutes")
        const [meanwhile] = yield* Effect.provideService(all, OutboxStore, store)
        isDown = false
        yield* Effect.sleep("1 minute")
        const [then] = yield* Effect.provideService(all, OutboxStore, store)
        return [meanwhile?.state, then?.state]
      }).pipe(Effect.provide(collecting(lines)))
    )

    assert.deepStrictEqual([end, queue.seen.length], [["Claimed", "Done"], 1])
    assert.deepStrictEqual(lines, [
      "Warn outbox mail: waits for its store: outbox store, complete: unavailable",
      "Info outbox mail: its store answers again"
    ])
  })

  it("gives way to who took a command over, and says so", () => {
    const lines: Array<string> = []
    const found = inTime(
      Effect.gen(function* () {
        const store = yield* OutboxStore
        // Somebody else claims it while it is at work: the lease ended, as of a process that stood still.
        const queue = recording(() =>
          Effect.andThen(Effect.sleep("2 seconds"), store.claim({ queue: "mail", limit: 1, leaseMillis: 60_000 }))
        )
        const never = OutboxStore.of({
          ...store,
          renew: () => Effect.fail(storeError({ store: "outbox", operation: "renew" }, "timeout"))
        })
        yield* queue.mails.add({ to: "ada" }, { key: "a" })
        yield* Effect.timeoutOption(
          Effect.provideService(queue.mails.run({ lease: "1 second", concurrency: 1, batch: 1 }), OutboxStore, never),
          "5 seconds"
        )
        return (yield* all)[0]
      }).pipe(Effect.provide(Layer.merge(memory, collecting(lines))))
    )

    assert.deepStrictEqual([found?.state, found?.fence], ["Claimed", 2])
    assert.deepStrictEqual(lines, ["Warn outbox mail: 1 commands were taken over: their leases had ended"])
  })
})

describe("An outbox's operator", () => {
  it("sees what is dead, redrives by note, not what nobody knows, and counts first", () => {
    let isMended = false
    const { mails } = recording(({ to }) =>
      isMended || to === "fine" ? Effect.void : Effect.fail(to === "unknown" ? unknown : to)
    )
    const found = inTime(
      Effect.gen(function* () {
        yield* mails.addAll(["fine", "declined", "no such card", "unknown"].map((to) => ({ payload: { to }, key: to })))
        yield* Effect.forkScoped(mails.run({ pollEvery: "1 hour" }))
        yield* Effect.sleep("1 second")
        const dead = yield* mails.list()
        isMended = true
        const dry = yield* mails.redriveAll({ dryRun: true })
        const byNote = yield* mails.redriveAll({ note: "declined" })
        yield* Effect.sleep("1 second")
        const then = yield* counts(mails)
        const limited = yield* mails.redriveAll({ limit: 1 })
        const unknowns = yield* mails.redriveAll({ unknown: true })
        yield* Effect.sleep("1 second")
        return {
          dead: dead.map(({ value }) => value?.to),
          dry,
          byNote,
          after: then,
          limited,
          unknowns,
          end: yield* counts(mails)
        }
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(found, {
      dead: ["declined", "no such card", "unknown"],
      dry: { redriven: 2, unknown: 1 },
      byNote: { redriven: 1, unknown: 0 },
      after: { Done: 2, Dead: 2 },
      limited: { redriven: 1, unknown: 0 },
      unknowns: { redriven: 1, unknown: 0 },
      end: { Done: 4 }
    })
  })

  it("gives up or redrives one, and says by its key what became of it", () => {
    const { mails } = recording(({ to }) => (to === "fine" ? Effect.void : Effect.fail(unknown)))
    const found = inTime(
      Effect.gen(function* () {
        yield* mails.add({ to: "fine" }, { key: "a" })
        yield* mails.add({ to: "doubtful" }, { key: "b" })
        const before = yield* mails.status("a")
        yield* Effect.timeoutOption(mails.run(), "1 second")
        const [dead] = yield* mails.list()
        const after = [yield* mails.status("a"), yield* mails.status("b"), yield* mails.status("c")]
        const { sequence = 0 } = dead ?? {}
        const done = [yield* mails.discard(sequence, { note: "it was there" }), yield* mails.redrive(0)]
        const discarded = yield* mails.status("b")
        const redriven = yield* mails.redrive(sequence)
        return { before, after, done, discarded, redriven, end: yield* mails.status("b") }
      }).pipe(Effect.provide(memory))
    )

    const note = "outcome unknown: sendgrid.mail.send: outcome unknown, transport failed with ECONNRESET"
    assert.deepStrictEqual(found, {
      before: { state: "accepted", attempts: 0, isUnknown: false, note: undefined },
      after: [
        { state: "done", attempts: 1, isUnknown: false, note: undefined },
        { state: "dead", attempts: 1, isUnknown: true, note },
        undefined
      ],
      done: [true, false],
      discarded: { state: "discarded", attempts: 1, isUnknown: true, note: "it was there" },
      redriven: true,
      end: { state: "accepted", attempts: 0, isUnknown: false, note: "it was there" }
    })
  })
})

describe("Outbox.orEnqueue", () => {
  it("accepts for later what is safe to try again with its key, and lets every other end through", () => {
    const calls: ReadonlyArray<Effect.Effect<string, Declined | ProviderError>> = [
      Effect.succeed("sent"),
      Effect.fail(circuitOpen),
      Effect.fail(retryable()),
      Effect.fail(fatal),
      Effect.fail(unknown),
      Effect.fail(new Declined({ card: "x" }))
    ]
    const { mails, seen } = recording()
    const found = inTime(
      Effect.gen(function* () {
        const ends = yield* Effect.forEach(calls, (call, index) =>
          call.pipe(
            Outbox.orEnqueue(mails, { to: `${index}` }, { key: `${index}` }),
            Effect.map((end) => (end._tag === "Done" ? `done: ${end.value}` : `accepted: ${end.key}`)),
            Effect.catchCause((cause) => Effect.succeed((Cause.squash(cause) as { _tag: string })._tag))
          )
        )
        const kept = (yield* all).map(({ addedAt, dueAt, key, sentAt }) => [key, dueAt - addedAt, sentAt !== undefined])
        yield* Effect.timeoutOption(mails.run(), "3 minutes")
        return { ends, kept, later: yield* mails.status("1") }
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual(found.ends, [
      "done: sent",
      "accepted: 1",
      "accepted: 2",
      "FatalError",
      "OutcomeUnknown",
      "Declined"
    ])
    assert.deepStrictEqual(found.kept, [
      ["1", 120_000, false],
      ["2", 0, true]
    ])
    assert.deepStrictEqual(
      [found.later?.state, seen.map(({ occasion }) => [occasion.key, occasion.maybeSent])],
      [
        "done",
        [
          ["2", true],
          ["1", false]
        ]
      ]
    )
  })

  it("finds out first when the workers come after the key is forgotten", () => {
    const { mails, seen } = recording()
    const found = inTime(
      Effect.gen(function* () {
        yield* Effect.fail(retryable()).pipe(Outbox.orEnqueue(mails, { to: "ada" }, { key: "a" }))
        yield* Effect.sleep(day)
        yield* Effect.timeoutOption(mails.run(), "1 minute")
        return yield* mails.status("a")
      }).pipe(Effect.provide(memory))
    )

    assert.deepStrictEqual([found?.state, found?.isUnknown, seen.length], ["dead", true, 0])
  })
})
