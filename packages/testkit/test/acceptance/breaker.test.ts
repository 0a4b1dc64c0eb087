/** What the breaker and the retry budget are for, on virtual time: nothing is lost by an interruption, an outage is not made worse, and what comes after it is good at once. */
import { assert, describe, it } from "@effect/vitest"
import { Call, type CallPolicy, Client, Health } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import {
  Fault,
  FaultMenu,
  FaultPlan,
  Load,
  Mode,
  SimulatedNetwork,
  type SimulatedProvider,
  Simulation
} from "@breakwater/testkit"
import { Context, Duration, Effect, Fiber, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import * as Wallet from "../support/Wallet.ts"

class WalletClient extends Context.Service<WalletClient, Client.Of<typeof Wallet.provider>>()("test/WalletClient") {}

const connectTo = (transport: HttpClient.HttpClient, policy: CallPolicy.CallPolicy, connection = "default") =>
  Layer.build(
    Client.layer(WalletClient, Wallet.provider, { credential: Redacted.make("key"), connection, policy }).pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, transport))
    )
  ).pipe(Effect.map(Context.get(WalletClient)), Effect.orDie)

const get = (wallet: Client.Of<typeof Wallet.provider>) => wallet.deposits.get({ params: { id: "d1" }, query: {} })

/** What is held while no attempt is under way: slots, places in lines, and places of probes. */
const held = Effect.map(Health.snapshot, ({ connections }) =>
  connections.flatMap(({ bulkhead, circuit, connection, originCircuit, rateBudget }) => [
    ...(bulkhead.inFlight + bulkhead.waiting + rateBudget.waiting > 0 ? [`${connection}: slots or places`] : []),
    ...[circuit, originCircuit].flatMap((each) =>
      each?.state === "half-open" && each.retryAfterMillis > 0 ? [`${connection}: a probe`] : []
    )
  ])
)

const breaker = {
  consecutiveFailures: 1,
  openFor: "1 second",
  successesToClose: 2,
  probes: 2,
  ramp: "2 seconds"
} as const
const policy: CallPolicy.CallPolicy = { attempts: 2, breaker, bulkhead: { concurrency: 2 } }
const instants = ["never", "at once", "within its attempt", "between attempts"] as const
const after = { never: 0, "at once": 0, "within its attempt": 20, "between attempts": 120 }

/** Three calls at a circuit that has just been opened, each of which its caller may leave at any time, on faults of any kind. */
const probing = (provider: SimulatedProvider.SimulatedProvider) =>
  Effect.gen(function* () {
    const menu = FaultMenu.make([
      Fault.refused,
      Fault.status(503),
      Fault.rateLimited(),
      Fault.blackhole(),
      Fault.garbage
    ])
    const opening = FaultPlan.when(({ index }) => index === 0, Fault.refused)
    const transport = yield* SimulatedNetwork.client([provider], {
      plan: FaultPlan.orElse(opening, FaultPlan.during({ from: 0, to: "5 minutes" }, menu))
    })
    const wallet = yield* connectTo(transport, policy)
    yield* Effect.exit(Call.withPolicy(get(wallet), { attempts: 1 }))
    yield* Effect.sleep("1200 millis")
    const calls = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Effect.exit(get(wallet))))
    const leaving = calls.map((fiber, index) =>
      Effect.gen(function* () {
        const when = yield* Simulation.choose(`caller ${index} leaves`, instants)
        if (when === "never") return
        yield* Effect.sleep(after[when])
        yield* Simulation.sometimes(`a caller leaves ${when}`)
        yield* Fiber.interrupt(fiber)
      })
    )
    yield* Effect.all(leaving, { concurrency: "unbounded" })
    yield* Effect.forEach(calls, Fiber.await)
    const leaked = yield* held
    // Once it is quiet the circuit closes again, whatever came before.
    yield* Effect.sleep("10 minutes")
    yield* Effect.forEach([1, 2, 3, 4], () => Effect.andThen(Effect.exit(get(wallet)), Effect.sleep("10 minutes")))
    const { status } = yield* Health.snapshot
    return { leaked, status }
  }).pipe(Effect.scoped, Effect.provideService(Connections, new Set()))

const interrupted = Simulation.make({
  name: "interrupted probes",
  world: Wallet.make({ latency: "50 millis" }),
  program: probing,
  invariant: ({ exit }) => {
    if (exit._tag === "Failure") return "the program failed"
    const { leaked, status } = exit.value
    return leaked.length > 0 ? `held by nobody: ${leaked.join(", ")}` : status === "ok" ? undefined : "it never closed"
  },
  sometimes: {
    "a caller leaves at once": Simulation.marked,
    "a caller leaves within its attempt": Simulation.marked,
    "a caller leaves between attempts": Simulation.marked
  }
})

const proved = (mode: Mode.Mode) => {
  const outcome = Simulation.verify(interrupted, mode)
  process.stdout.write(`breaker: ${Simulation.summary(outcome)}\n`)
  return outcome
}

describe("callers that leave while a circuit is probed", () => {
  it("leave no slot and no probe behind, under any two decisions, and it closes when it is quiet", () => {
    const outcome = proved(Mode.exhaustive({ deviations: 2 }))

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 200)
  }, 120_000)

  it("leave nothing behind when they are overtaken before any operation", () => {
    const outcome = proved(Mode.exhaustive({ deviations: 1, preemption: "every-op" }))

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 200)
  }, 120_000)
})

/** An `HttpClient` that counts what goes out. */
const counting = (transport: HttpClient.HttpClient) => {
  let sent = 0
  const client = HttpClient.tapRequest(transport, () => Effect.sync(() => void sent++))
  return { client, sent: () => sent }
}

/** A load on a provider that refuses every connection for a while, through so many connections in turn. */
const loaded = (options: {
  readonly rate: number
  readonly trigger: Load.Trigger
  readonly lasts: Duration.Input
  readonly policy: CallPolicy.CallPolicy
  readonly connections?: number
}) =>
  Load.simulate(
    Effect.gen(function* () {
      const { connections = 1, lasts, policy, rate, trigger } = options
      const provider = yield* Wallet.make({ latency: "50 millis" })
      const to = Duration.sum(Duration.fromInputUnsafe(trigger.from), Duration.fromInputUnsafe(trigger.lasts))
      const plan = FaultPlan.outage({ from: trigger.from, to })
      const transport = counting(yield* SimulatedNetwork.client([provider], { plan }))
      const wallets = yield* Effect.forEach(
        Array.from({ length: connections }, (_, index) => `tenant-${index}`),
        (connection) => connectTo(transport.client, policy, connection)
      )
      const call = (index: number) =>
        Effect.suspend(() => {
          const wallet = wallets[index % wallets.length]
          return wallet === undefined ? Effect.die(new Error("no connection")) : get(wallet)
        })
      return yield* Load.run({ rate, trigger, lasts, attempts: transport.sent, call })
    }).pipe(Effect.scoped, Effect.provideService(Connections, new Set()))
  )

const sum = (report: Load.Report, field: "attempts" | "offered"): number =>
  report.windows.reduce((total, window) => total + window[field], 0)

describe("an outage of 60 seconds", () => {
  const trigger = { from: "10 seconds", lasts: "60 seconds" } as const
  // Open for 30 s ± 20 % from the first failures on, then for 60 s ± 20 %: that is the open period in which it ends. The ramp is 10 s.
  const onePeriodAndRamp = Duration.seconds(72 + 10)

  it.each([
    [20, 1],
    [200, 1],
    [200, 10]
  ])(
    "at %i calls a second over %i connections is over for the client within one open period and the ramp",
    (rate, connections) => {
      const report = loaded({ rate, connections, trigger, lasts: "170 seconds", policy: {} })

      assert.isUndefined(Load.recoversWithin(onePeriodAndRamp, 0.99)(report))
      // While it lasts next to nothing is sent.
      const during = report.windows.filter(({ at }) => at >= 20_000 && at < 70_000)
      assert.isAtMost(Math.max(...during.map(({ attempts }) => attempts)), 20)
    },
    60_000
  )

  it("meets a growing share of the load when it is over, not all of it at once", () => {
    const report = loaded({ rate: 200, trigger, lasts: "170 seconds", policy: {} })
    const back = report.windows.findIndex(({ at, good }) => at >= 70_000 && good > 5)
    const good = (from: number, to: number) => {
      const windows = report.windows.slice(back + from, back + to)
      return windows.reduce((total, window) => total + window.good, 0) / (windows.length * 200)
    }

    assert.closeTo(good(1, 3), 0.1, 0.06)
    assert.closeTo(good(4, 6), 0.25, 0.08)
    assert.closeTo(good(7, 9), 0.5, 0.1)
    assert.closeTo(good(11, 30), 1, 0.01)
  }, 60_000)
})

describe("a total failure", () => {
  const trigger = { from: 0, lasts: "10 minutes" } as const
  const neverOpen = { consecutiveFailures: 10_000, failureRate: 1, minimumCalls: 10_000, window: 10_000 }
  const unbreakable: CallPolicy.CallPolicy = { breaker: neverOpen, bulkhead: { concurrency: 1000 } }

  it.each([[1], [5]])(
    "costs 1.00× the load, 35 retries once and one a second, if nothing but the budget holds it, over %i connections",
    (connections) => {
      const report = loaded({ rate: 20, connections, trigger, lasts: "60 seconds", policy: unbreakable })

      assert.strictEqual(sum(report, "offered"), 1200)
      assert.isAtMost(sum(report, "attempts"), 1200 + 35 + 61)
      assert.isAtLeast(sum(report, "attempts"), 1200 + 35)
    },
    60_000
  )

  it("costs next to nothing with the breaker, whoever asks", () => {
    const report = loaded({ rate: 20, connections: 5, trigger, lasts: "60 seconds", policy: {} })

    assert.isAtMost(sum(report, "attempts"), 20)
  }, 60_000)
})
