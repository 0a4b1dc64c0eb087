/** Second attempts and shared flights, on virtual time: whoever leaves and whatever strikes, nothing is held afterwards, and everybody who stays has an answer. */
import { assert, describe, it } from "@effect/vitest"
import { type CallPolicy, Client, Health } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import {
  Fault,
  FaultMenu,
  FaultPlan,
  Mode,
  SimulatedNetwork,
  type SimulatedProvider,
  Simulation
} from "@breakwater/testkit"
import { Context, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import * as Wallet from "../support/Wallet.ts"

class WalletClient extends Context.Service<WalletClient, Client.Of<typeof Wallet.provider>>()("test/WalletClient") {}

const policy: CallPolicy.CallPolicy = {
  attempts: 3,
  hedge: { delay: "100 millis" },
  bulkhead: { concurrency: 3, adaptive: { minimum: 2 } },
  breaker: { consecutiveFailures: 100, minimumCalls: 100, window: 100 }
}

const menu = FaultMenu.make([
  Fault.latency("300 millis"),
  Fault.refused,
  Fault.lostResponse,
  Fault.blackhole(),
  Fault.status(503),
  Fault.rateLimited(),
  Fault.truncated(),
  Fault.status(404)
])

const instants = ["never", "at once", "within the first attempt", "beside the second"] as const
const after = { never: 0, "at once": 0, "within the first attempt": 50, "beside the second": 150 }

const get = (wallet: Client.Of<typeof Wallet.provider>, id: string) =>
  wallet.deposits.get({ params: { id }, query: {} })

/** Three reads at once, two of which ask for the same. */
const reading = (provider: SimulatedProvider.SimulatedProvider, coalesce: boolean) =>
  Effect.gen(function* () {
    const transport = yield* SimulatedNetwork.client([provider], {
      plan: FaultPlan.during({ from: 0, to: "4 minutes" }, menu)
    })
    const options = { credential: Redacted.make("key"), policy: { ...policy, coalesce } }
    const live = Client.layer(WalletClient, Wallet.provider, options).pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, transport))
    )
    const wallet = Context.get(yield* Effect.orDie(Layer.build(live)), WalletClient)
    const calls = yield* Effect.forEach(["d1", "d1", "d2"], (id) => Effect.forkChild(Effect.exit(get(wallet, id))))
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
    const exits = yield* Effect.forEach(calls, Fiber.await)
    yield* Effect.sleep("1 millis")
    const [connection] = (yield* Health.snapshot).connections
    const held = (connection?.bulkhead.inFlight ?? 0) + (connection?.bulkhead.waiting ?? 0)
    // Who comes afterwards is served, whatever came before.
    yield* Effect.sleep("5 minutes")
    const later = yield* Effect.exit(get(wallet, "d1"))
    return { held, exits, later: Exit.isSuccess(later) }
  }).pipe(Effect.scoped, Effect.provideService(Connections, new Set()))

/** Whether a caller that stayed has what it asked for, or an error that says why not. */
const isTold = (exit: Exit.Exit<unknown, unknown>): boolean => !Exit.hasDies(exit)

const read = (coalesce: boolean) =>
  Simulation.make({
    name: coalesce ? "shared flights" : "second attempts",
    world: Effect.suspend(() => Wallet.make({ latency: "80 millis" })),
    program: (provider) => reading(provider, coalesce),
    invariant: ({ exit, world }) => {
      if (Exit.isFailure(exit)) return "the program failed"
      const { exits, held, later } = exit.value
      if (held !== 0) return `${held} slots are held by nobody`
      if (!later) return "a call afterwards is not served"
      if (!exits.every((each) => isTold(each))) return "a call died"
      const asked = world.ledger.exchanges.length
      return asked > 3 * 4 + 4 ? `${asked} requests for three calls` : undefined
    },
    sometimes: {
      "a caller leaves at once": Simulation.marked,
      "a caller leaves within the first attempt": Simulation.marked,
      "a caller leaves beside the second": Simulation.marked
    }
  })

describe.each([
  ["second attempts beside slow ones", false],
  ["flights that are shared", true]
] as const)("%s", (_, coalesce) => {
  it("leave nothing behind under any two decisions", () => {
    const outcome = Simulation.verify(read(coalesce), Mode.exhaustive({ deviations: 2 }))
    process.stdout.write(`load: ${Simulation.summary(outcome)}\n`)

    assert.isTrue(outcome.exhausted)
  }, 120_000)

  it("leave nothing behind when anybody is overtaken before any operation", () => {
    const outcome = Simulation.verify(read(coalesce), Mode.exhaustive({ deviations: 1, preemption: "every-op" }))
    process.stdout.write(`load: ${Simulation.summary(outcome)}\n`)

    assert.isTrue(outcome.exhausted)
  }, 120_000)
})
