/**
 * What the kernel takes for granted of Effect without being promised it. If an upgrade of Effect changes any of it, this says which, before a search quietly finds nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Scheduler, Tracer } from "effect"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Runs a program on a scheduler that tells everything it is asked. */
class Telling implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  readonly asked: Array<{ readonly fiber: AnyFiber; readonly operation: number }> = []
  readonly made: Array<AnyFiber | undefined> = []
  readonly tasks: Array<() => void> = []
  readonly yields: (fiber: AnyFiber) => boolean

  constructor(yields: (fiber: AnyFiber) => boolean = () => false) {
    this.yields = yields
  }

  shouldYield(fiber: AnyFiber): boolean {
    this.asked.push({ fiber, operation: fiber.currentOpCount })
    return this.yields(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    this.made.push(Fiber.getCurrent())
    return { scheduleTask: (task) => void this.tasks.push(task), flush: () => undefined }
  }

  run<A, E>(program: Effect.Effect<A, E>, maxTasks = 1000): Exit.Exit<A, E> | undefined {
    const fiber = Effect.runFork(program, { scheduler: this })
    for (let ran = 0; ran < maxTasks && fiber.pollUnsafe() === undefined; ran++) this.tasks.shift()?.()
    return fiber.pollUnsafe()
  }
}

const three = Effect.andThen(
  Effect.sync(() => 1),
  Effect.andThen(
    Effect.sync(() => 2),
    Effect.sync(() => 3)
  )
)

describe("what the kernel takes for granted of Effect", () => {
  it("asks shouldYield before each operation, and counts them in currentOpCount from 1 after each resumption", () => {
    const scheduler = new Telling()
    scheduler.run(Effect.andThen(three, Effect.andThen(Effect.yieldNow, three)))
    const operations = scheduler.asked.map(({ operation }) => operation)

    assert.strictEqual(operations[0], 1)
    assert.isAbove(operations.length, 6)
    assert.strictEqual(operations.filter((operation) => operation === 1).length, 2)
  })

  it("schedules how a fiber goes on right after it was told to yield, before anything else, and runs nothing of it until then", () => {
    const told: Array<string> = []
    const scheduler = new (class extends Telling {
      override shouldYield(fiber: AnyFiber): boolean {
        const yields = fiber.currentOpCount === 5
        if (yields) told.push("yield")
        return yields
      }
      override makeDispatcher(): Scheduler.SchedulerDispatcher {
        return { scheduleTask: () => void told.push("scheduled"), flush: () => undefined }
      }
    })()
    const fiber = Effect.runFork(
      Effect.forEach([1, 2, 3, 4, 5, 6], (step) => Effect.as(Effect.exit(Effect.fail("no")), told.push(`${step}`))),
      { scheduler }
    )

    assert.strictEqual(fiber.pollUnsafe(), undefined)
    assert.deepStrictEqual(told.slice(-2), ["yield", "scheduled"])
  })

  it("asks the first operation of a forked fiber right after the operation that forked it, and sets the fiber as the current one", () => {
    const scheduler = new Telling()
    const fork = (effect: Effect.Effect<unknown>) => Effect.forkChild(effect, { startImmediately: true })
    scheduler.run(Effect.andThen(fork(Effect.forkDetach(Effect.yieldNow, { startImmediately: true })), Effect.yieldNow))
    const order = scheduler.asked.map(({ fiber }) => fiber)
    const [parent, ...others] = [...new Set(order)]

    assert.strictEqual(others.length, 2)
    for (const child of others) {
      const before = order[order.indexOf(child) - 1]
      assert.isTrue(before === parent || before === others[0])
    }
  })

  it("schedules a fork through the dispatcher of its parent, and makes a dispatcher while its fiber is the current one", () => {
    const scheduler = new Telling()
    scheduler.run(Effect.andThen(Effect.forkDetach(Effect.yieldNow), Effect.yieldNow))

    assert.deepStrictEqual(scheduler.made, [...new Set(scheduler.asked.map(({ fiber }) => fiber))])
  })

  it("yields for ever if it is told to before the third operation, and not from the third on", () => {
    const from = (operation: number) => new Telling((fiber) => fiber.currentOpCount >= operation).run(three, 1000)

    assert.deepStrictEqual([from(1), from(2)], [undefined, undefined])
    assert.deepStrictEqual(from(3), Exit.succeed(3))
  })

  it("lets a deferred resume its waiter in place, and a latch through the dispatcher", () => {
    const order: Array<string> = []
    const told = (what: string) => Effect.sync(() => void order.push(what))
    const program = Effect.gen(function* () {
      const deferred = yield* Deferred.make<void>()
      const latch = yield* Latch.make()
      const waits = (on: Effect.Effect<unknown>, what: string) =>
        Effect.forkChild(Effect.andThen(on, told(what)), { startImmediately: true })
      yield* waits(Deferred.await(deferred), "deferred")
      yield* waits(latch.await, "latch")
      yield* Deferred.succeed(deferred, undefined)
      yield* told("after the deferred")
      yield* latch.open
      yield* told("after the latch")
      yield* Effect.yieldNow
    })
    new Telling().run(program)

    assert.deepStrictEqual(order, ["deferred", "after the deferred", "after the latch", "latch"])
  })

  it("asks before it does anything when a callback resumes a fiber, so that it can be parked", () => {
    let resume: (() => void) | undefined
    let gone = false
    let parks = false
    const scheduler = new Telling(() => parks)
    const waits = Effect.callback<void>((resumes) => {
      resume = () => resumes(Effect.void)
    })
    scheduler.run(
      Effect.andThen(
        waits,
        Effect.sync(() => (gone = true))
      ),
      0
    )
    parks = true
    resume?.()

    assert.deepStrictEqual([gone, scheduler.tasks.length], [false, 1])
    parks = false
    scheduler.tasks.shift()?.()
    assert.isTrue(gone)
  })

  it("consumes promises by their then", () => {
    let calls = 0
    class Thenable {
      // oxlint-disable-next-line unicorn/no-thenable -- what is tested is that it is called
      then(onFulfilled: (value: number) => void): void {
        calls++
        onFulfilled(1)
      }
    }
    const exit = new Telling().run(Effect.promise(() => new Thenable() as unknown as Promise<number>))

    assert.deepStrictEqual([calls, exit], [1, Exit.succeed(1)])
  })

  it("runs fibers of its own entry points on a MixedScheduler, and asks it", () => {
    const { prototype } = Scheduler.MixedScheduler
    const shouldYield = Reflect.get<Scheduler.MixedScheduler, "shouldYield">(prototype, "shouldYield")
    let asked = 0
    prototype.shouldYield = function (fiber) {
      asked++
      return shouldYield.call(this, fiber)
    }
    try {
      Effect.runSync(Effect.sync(() => 1))
      void Effect.runFork(Effect.sync(() => 1))
    } finally {
      prototype.shouldYield = shouldYield
    }

    assert.isAtLeast(asked, 2)
  })

  it("takes ids of spans from their accessors", () => {
    class Named extends Tracer.NativeSpan {
      override get spanId(): string {
        return "mine"
      }
    }
    const tracer = Tracer.make({ span: (options) => new Named(options) })
    const program = Effect.withSpan(
      Effect.map(Effect.currentSpan, ({ spanId }) => spanId),
      "a"
    )

    assert.deepStrictEqual(new Telling().run(Effect.withTracer(program, tracer)), Exit.succeed("mine"))
  })
})
