import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Metric,
  Option,
  Queue,
  Random,
  Schedule,
  Tracer
} from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import { Simulation } from "@breakwater/testkit"

const completed = <A, E>(report: ReturnType<typeof Simulation.run<A, E>>): Exit.Exit<A, E> => {
  if (report.outcome._tag !== "Completed") throw new Error(`it came to ${JSON.stringify(report.outcome)}`)
  return report.outcome.exit
}

const valueOf = <A, E>(program: Parameters<typeof Simulation.run<A, E>>[0]): A => {
  const exit = completed(Simulation.run(program))
  if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
  return exit.value
}

/** Twenty workers that sleep, fail, back off with jitter and hand on through a queue. */
const busy = Effect.gen(function* () {
  const queue = yield* Queue.bounded<number>(3)
  const worker = Effect.fnUntraced(function* (worker: number) {
    for (let round = 0; round < 3; round++) {
      yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(1, 20)))
      yield* Effect.retry(
        Effect.flatMap(Random.next, (luck) => (luck < 0.5 ? Effect.fail("unlucky") : Effect.void)),
        {
          schedule: Schedule.jittered(Schedule.exponential("10 millis")),
          times: 5
        }
      ).pipe(Effect.ignore)
      yield* Simulation.note(`${worker} offers ${round}`)
      yield* Queue.offer(queue, worker)
    }
  })
  const taking = Effect.forkChild(
    Effect.forever(Effect.flatMap(Queue.take(queue), (worker) => Simulation.note(`took ${worker}`)))
  )
  yield* taking
  yield* Effect.forEach(
    Array.from({ length: 20 }, (_, index) => index),
    worker,
    { concurrency: "unbounded", discard: true }
  )
})

describe("Kernel.run", () => {
  it("lets time go on by itself, and ends at once", () => {
    const report = Simulation.run(Effect.as(Effect.sleep("365 days"), "a year later"), { timeLimit: "1000 days" })

    assert.deepStrictEqual(completed(report), Exit.succeed("a year later"))
    assert.strictEqual(report.elapsed, Duration.toMillis("365 days"))
  })

  it("says that a program hangs", () => {
    const report = Simulation.run(Effect.andThen(Effect.sleep("3 seconds"), Effect.never))

    assert.deepStrictEqual([report.outcome._tag, report.elapsed, report.last], ["Deadlock", 3000, "main"])
  })

  it("says that a program does not come to rest, whether it yields or not", () => {
    const spinning = Effect.forever(Effect.void)
    const programs = [spinning, Effect.forever(Effect.yieldNow)]

    for (const program of programs) {
      assert.strictEqual(Simulation.run(program, { maxSteps: 100_000 }).outcome._tag, "StepLimit")
    }
  })

  it("says that a program does not come to an end", () => {
    const report = Simulation.run(Effect.forever(Effect.sleep("1 hour")), { timeLimit: "1 day" })

    assert.deepStrictEqual([report.outcome._tag, report.timers], ["TimeLimit", 25])
  })

  it("gives one trace in 200 runs of one plan", () => {
    for (const seed of [1, 2]) {
      const drawn = {
        answers: { _tag: "Drawn", faultRate: 0, preemptRate: 0.05 },
        preemption: "every-op",
        trace: true,
        seed
      } as const
      const traces = new Set(Array.from({ length: 200 }, () => Simulation.run(busy, drawn).trace.join("\n")))

      assert.strictEqual(traces.size, 1)
    }
  })

  it("gives another trace for another seed", () => {
    const traces = new Set([1, 2, 3, 4].map((seed) => Simulation.run(busy, { trace: true, seed }).trace.join("\n")))

    assert.strictEqual(traces.size, 4)
  })

  it("wakes sleepers of one instant in the order in which they went to sleep, unless the plan says otherwise", () => {
    const program = Effect.gen(function* () {
      const woken: Array<string> = []
      const sleeper = (name: string) =>
        Effect.andThen(
          Effect.sleep("1 second"),
          Effect.sync(() => woken.push(name))
        )
      yield* Effect.all([sleeper("a"), sleeper("b"), sleeper("c")], { concurrency: "unbounded" })
      return woken
    })
    const decisions = [{ key: "wake main.0#0", choice: "after the others" }]

    assert.deepStrictEqual(completed(Simulation.run(program)), Exit.succeed(["a", "b", "c"]))
    assert.deepStrictEqual(
      completed(Simulation.run(program, { answers: { _tag: "Planned", decisions } })),
      Exit.succeed(["b", "c", "a"])
    )
  })

  it("lets timers that are almost due catch up, where the process may stand still", () => {
    const program = Effect.gen(function* () {
      const woken: Array<string> = []
      const sleeper = (millis: number) => Effect.map(Effect.sleep(millis), () => woken.push(`${millis} ms`))
      yield* Effect.all([sleeper(1000), sleeper(1004), sleeper(1010)], { concurrency: "unbounded" })
      return woken
    })
    const decisions = [
      { key: "stall of the process#0", choice: "5 ms" },
      { key: "wake main.0#0", choice: "after the others" }
    ]
    const answers = { _tag: "Planned", decisions } as const
    const stalled = Simulation.run(program, { answers, stall: "5 millis" })
    const outOfReach = Simulation.run(program, { points: true, stall: "3 millis" })

    assert.deepStrictEqual(completed(stalled), Exit.succeed(["1004 ms", "1000 ms", "1010 ms"]))
    assert.strictEqual(stalled.elapsed, 1010)
    assert.deepStrictEqual(outOfReach.points, [])
    assert.deepStrictEqual(completed(outOfReach), Exit.succeed(["1000 ms", "1004 ms", "1010 ms"]))
  })

  it("runs what has the lower priority number first", () => {
    const program = Effect.gen(function* () {
      const order: Array<number> = []
      const yielding = (priority: number) =>
        Effect.andThen(
          Effect.yieldNowWith(priority),
          Effect.sync(() => order.push(priority))
        )
      yield* Effect.all([yielding(5), yielding(-1), yielding(0), yielding(5)], { concurrency: "unbounded" })
      return order
    })

    assert.deepStrictEqual(valueOf(program), [-1, 0, 5, 5])
  })

  it("forgets sleeps that were interrupted", () => {
    const program = Effect.gen(function* () {
      for (let round = 0; round < 1000; round++) yield* Effect.timeout(Effect.void, "1 hour")
      const sleeping = yield* Effect.forkChild(Effect.sleep("1 hour"), { startImmediately: true })
      yield* Fiber.interrupt(sleeping)
      return Exit.hasInterrupts(yield* Fiber.await(sleeping))
    })
    const report = Simulation.run(program)

    assert.deepStrictEqual([completed(report), report.elapsed, report.timers], [Exit.succeed(true), 0, 0])
  })

  it("runs finalizers of what is interrupted", () => {
    const program = Effect.gen(function* () {
      const seen: Array<string> = []
      const work = Effect.onInterrupt(Effect.sleep("1 minute"), () => Effect.sync(() => seen.push("gave back")))
      const slow = Effect.ensuring(
        work,
        Effect.andThen(
          Effect.sleep("5 seconds"),
          Effect.sync(() => seen.push("closed"))
        )
      )
      const result = yield* Effect.option(Effect.timeout(slow, "10 seconds"))
      return [...seen, Option.isNone(result)]
    })
    const report = Simulation.run(program)

    assert.deepStrictEqual([completed(report), report.elapsed], [Exit.succeed(["gave back", "closed", true]), 15_000])
  })

  it("draws the same random numbers in every run, secure ones too, and each fiber its own", () => {
    const program = Effect.gen(function* () {
      const secure = yield* SecureRandom.SecureRandom
      const other = yield* Effect.forkChild(Random.next, { startImmediately: true })
      const ids = [yield* secure.uuidV4(), yield* secure.uuidV7(), yield* secure.ulid]
      return { ids, first: yield* Random.nextInt, other: yield* Fiber.join(other) }
    })
    const alone = Effect.andThen(SecureRandom.SecureRandom, Random.nextInt)

    assert.deepStrictEqual(valueOf(program), valueOf(program))
    assert.strictEqual(valueOf(alone), valueOf(program).first)
  })

  it("gives spans ids that are the same in every run, and tells a tracer of the user's", () => {
    const program = Effect.gen(function* () {
      const inner = yield* Effect.withSpan(Effect.currentSpan, "inner")
      return { inner: [inner.spanId, inner.traceId], parent: Option.map(inner.parent, ({ spanId }) => spanId) }
    }).pipe(Effect.withSpan("outer"))
    const told: Array<string> = []
    const tracer = Tracer.make({
      span: (options) => {
        told.push(
          `${options.name} in ${Option.match(options.parent, { onNone: () => "nothing", onSome: ({ spanId }) => spanId })}`
        )
        return new Tracer.NativeSpan(options)
      }
    })
    const first = completed(Simulation.run(program))
    const second = completed(Simulation.run(program, { tracer }))

    assert.deepStrictEqual(second, first)
    const parent = Exit.isSuccess(first) ? Option.getOrUndefined(first.value.parent) : undefined
    assert.deepStrictEqual(told, ["outer in nothing", `inner in ${parent}`])
    assert.match(parent ?? "", /^[0-9a-f]{16}$/u)
  })

  it("counts metrics anew in each run", () => {
    const calls = Metric.counter("calls")
    const program = Effect.andThen(
      Metric.update(calls, 1),
      Effect.map(Metric.value(calls), ({ count }) => count)
    )

    assert.deepStrictEqual([valueOf(program), valueOf(program)], [1, 1])
  })

  it("lets a deferred wake its waiter, and names fibers by their path however they were forked", () => {
    const program = Effect.gen(function* () {
      const ready = yield* Deferred.make<string>()
      const scoped = yield* Effect.forkScoped(Deferred.await(ready))
      const detached = yield* Effect.forkDetach(
        Effect.andThen(Effect.sleep("1 second"), Deferred.succeed(ready, "ready"))
      )
      yield* Fiber.join(detached)
      return yield* Fiber.join(scoped)
    })
    const report = Simulation.run(program, { trace: true })

    assert.deepStrictEqual(completed(report), Exit.succeed("ready"))
    assert.sameMembers([...new Set(report.trace.map((line) => line.split(" ")[2]))], ["main", "main.0", "main.1"])
  })
})

describe("VirtualClock", () => {
  it("is the clock that TestClock.adjust asks for", () => {
    const program = Effect.gen(function* () {
      const seen: Array<string> = []
      const tell = (what: string, after: Duration.Input) =>
        Effect.andThen(
          Effect.sleep(after),
          Effect.sync(() => seen.push(what))
        )
      yield* Effect.forkChild(Effect.andThen(tell("one hour", "1 hour"), tell("and another", "1 hour")))
      yield* Effect.forkChild(Effect.andThen(tell("59 minutes", "59 minutes"), Effect.yieldNow))
      assert.deepStrictEqual(seen, [])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(seen, ["59 minutes", "one hour"])
      yield* TestClock.adjust("1 hour")
      return seen
    })
    const report = Simulation.run(program)

    assert.deepStrictEqual(completed(report), Exit.succeed(["59 minutes", "one hour", "and another"]))
    assert.strictEqual(report.elapsed, Duration.toMillis("2 hours"))
  })

  it("adjusts only once all that is due by then has come to rest", () => {
    const program = Effect.gen(function* () {
      let steps = 0
      yield* Effect.forkChild(
        Effect.andThen(
          Effect.sleep("1 second"),
          Effect.forEach([1, 2, 3], () =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => steps++)
            )
          )
        )
      )
      yield* TestClock.adjust("1 second")
      return steps
    })

    assert.strictEqual(valueOf(program), 3)
  })

  it("can be set, forwards by waking and backwards without", () => {
    const program = Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let woken = false
      yield* Effect.forkChild(
        Effect.andThen(
          Effect.sleep("1 hour"),
          Effect.sync(() => (woken = true))
        ),
        { startImmediately: true }
      )
      const start = clock.currentTimeMillisUnsafe()
      yield* TestClock.setTime(start - 7)
      const before = [clock.currentTimeMillisUnsafe() - start, woken]
      yield* TestClock.setTime(start + 3_600_000)
      return [before, [clock.currentTimeMillisUnsafe() - start, woken]]
    })

    assert.deepStrictEqual(valueOf(program), [
      [-7, false],
      [3_600_000, true]
    ])
  })

  it("tells nanoseconds, of which the monotonic ones are not set", () => {
    const program = Effect.gen(function* () {
      const clock = yield* Clock.Clock
      yield* Effect.sleep("1500 micros")
      yield* TestClock.setTime(7)
      return [clock.currentTimeNanosUnsafe(), clock.monotonicTimeNanosUnsafe()]
    })

    assert.deepStrictEqual(valueOf(program), [7_000_000n, 1_500_000n])
  })

  it("reports TestClock.withLive", () => {
    const { outcome } = Simulation.run(TestClock.withLive(Effect.void))

    assert.deepStrictEqual(outcome, { _tag: "Left", leak: { what: "TestClock.withLive", location: undefined } })
  })
})
