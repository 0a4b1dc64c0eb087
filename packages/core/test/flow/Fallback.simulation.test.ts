/** A charge with a second provider behind the first: whatever goes wrong, it is not made at both. */
import { assert, describe, it as plain } from "@effect/vitest"
import { Auth, Client, Fallback, Idempotency, IdempotencyStore, Provider, Safety } from "@breakwater/core"
import type { ProviderError } from "@breakwater/core"
import {
  Fault,
  FaultMenu,
  IdempotencyKeys,
  Ledger,
  Mode,
  SimulatedNetwork,
  SimulatedProvider
} from "@breakwater/testkit"
import { Simulation, Vitest } from "@breakwater/testkit"
import { Context, Effect, ExecutionPlan, Layer, Redacted, Schedule, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

const it = Vitest.extend(plain)

const keys = { header: "Idempotency-Key", window: "24 hours" } as const
const payload = Schema.Struct({ cents: Schema.Int })

class Declined extends Schema.TaggedError<Declined>()("Declined", {}, { httpApiStatus: 402 }) {}

const api = HttpApi.make("bank").add(
  HttpApiGroup.make("charges").add(
    HttpApiEndpoint.post("create", "/charges", { payload, success: payload, error: Declined }).pipe(Safety.keyed(keys))
  )
)

const bankOf = <const Name extends string>(name: Name) =>
  Provider.make(name, {
    api,
    environments: { sandbox: `https://sandbox.${name}.test`, production: `https://api.${name}.test` },
    auth: Auth.bearer(),
    policy: { attempts: 2, breaker: { consecutiveFailures: 2 } }
  })

const [north, south] = [bankOf("north"), bankOf("south")]

class North extends Context.Service<North, Client.Of<typeof north>>()("test/North") {}
class South extends Context.Service<South, Client.Of<typeof south>>()("test/South") {}

type Charged = Effect.Effect<unknown, ProviderError.ProviderError | Declined>

/** What the app calls, whichever bank does it. */
class Payments extends Context.Service<Payments, { readonly charge: Charged }>()("test/Payments") {}

/** It declines what it has charged: the plan must not go on after that either. */
const simulated = (provider: typeof north | typeof south, declines: boolean) =>
  Effect.suspend(() => {
    const ledger = new Ledger()
    const handlers = HttpApiBuilder.group(api, "charges", (handlers) =>
      handlers.handle("create", ({ payload: { cents } }) =>
        Effect.suspend(() => {
          ledger.record({ kind: declines ? "declined" : "charge", amount: cents })
          return declines ? Effect.fail(new Declined()) : Effect.succeed({ cents })
        })
      )
    )
    return SimulatedProvider.make({ provider, handlers, ledger, parts: [IdempotencyKeys.make(keys)] })
  })

const faults = [
  Fault.refused,
  Fault.resetBefore,
  Fault.lostResponse,
  Fault.blackhole({ processed: true }),
  Fault.html(),
  Fault.status(503),
  Fault.status(401),
  Fault.rateLimited(),
  Fault.crash({ processed: true })
]

interface World {
  readonly north: SimulatedProvider.SimulatedProvider
  readonly south: SimulatedProvider.SimulatedProvider
}

const credential = Redacted.make("key-of-a-test")

const paymentsOf = Effect.map(Effect.all([North, South]), ([north, south]) => {
  const [one, other]: readonly [Charged, Charged] = [
    north.charges.create({ payload: { cents: 42 } }).pipe(Idempotency.withKey("order/1/north")),
    south.charges.create({ payload: { cents: 42 } }).pipe(Idempotency.withKey("order/1/south"))
  ]
  return [Context.make(Payments, { charge: one }), Context.make(Payments, { charge: other })] as const
})

const charge = Effect.flatMap(Payments, (payments) => payments.charge)

type Plan = (north: Context.Context<Payments>, south: Context.Context<Payments>) => Charged

const careful: Plan = (north, south) =>
  charge.pipe(
    Fallback.providers(
      [
        { name: "north", provide: north },
        { name: "south", provide: south }
      ],
      { name: "payments" }
    )
  )

const naive: Plan = (north, south) =>
  Effect.withExecutionPlan(charge, ExecutionPlan.make({ provide: north }, { provide: south }))

/** Run again after a second, as whoever has a queue does, while the circuit of the first may be open. */
const again =
  (plan: Plan): Plan =>
  (north, south) =>
    plan(north, south).pipe(Effect.retry({ schedule: Schedule.spaced("1 second"), times: 2 }))

const paying = (plan: Plan, declines = false) =>
  Simulation.make({
    name: "a charge with a second bank",
    world: Effect.all({ north: simulated(north, declines), south: simulated(south, false) }),
    program: (world: World) =>
      Effect.gen(function* () {
        const [north, south] = yield* paymentsOf
        yield* Effect.ignore(plan(north, south))
      }).pipe(
        Effect.provide(
          Layer.merge(Client.layer(North, north, { credential }), Client.layer(South, south, { credential })).pipe(
            Layer.provide(SimulatedNetwork.layer([world.north, world.south], { plan: FaultMenu.make(faults) }))
          )
        )
      ),
    invariant: ({ world }) => {
      const [first, second] = [world.north.ledger.entries.length, world.south.ledger.entries.length]
      return first > 0 && second > 0 ? `at both banks: ${first} and ${second}` : undefined
    },
    sometimes: {
      "the second charges": ({ world }) => world.south.ledger.entries.length === 1,
      "nobody charges": ({ world }) => world.north.ledger.entries.length + world.south.ledger.entries.length === 0
    }
  })

describe("A charge with a second provider, whatever goes wrong twice", () => {
  it.simulate("is never made at both", paying(careful), Mode.exhaustive({ deviations: 2 }))

  it.simulate(
    "is never tried at the second where the first has declined",
    { ...paying(careful, true), sometimes: {} },
    Mode.exhaustive({ deviations: 1 })
  )

  const found = (of: ReturnType<typeof paying>, deviations: number) => {
    const [failure] = Simulation.check({ ...of, sometimes: {} }, Mode.exhaustive({ deviations })).failures
    return [failure?.message, failure?.plan?.decisions.map(({ choice }) => choice)]
  }

  it("is made at both by Effect's plan alone", () => {
    const [message, choices] = found(paying(naive), 2)
    process.stdout.write(`the plan alone: ${String(message)} after ${String(choices)}\n`)

    assert.strictEqual(message, "at both banks: 1 and 1")
  })

  it("is tried at both by Effect's plan alone when it is declined, without any fault", () => {
    assert.deepStrictEqual(found(paying(naive, true), 0), ["at both banks: 1 and 1", []])
  })

  it("is made at both by a plan that is run again after a doubt, where nothing remembers it", () => {
    const [message] = found(paying(again(careful)), 2)

    assert.strictEqual(message, "at both banks: 1 and 1")
  })

  const remembering: ReturnType<typeof paying> = {
    ...paying(again(careful)),
    program: (world, input) =>
      Effect.provideService(
        paying(again(careful)).program(world, input),
        IdempotencyStore.IdempotencyStore,
        IdempotencyStore.memory()
      )
  }

  it.simulate(
    "is never made at both by a plan that is run again, with a store",
    remembering,
    Mode.exhaustive({ deviations: 2 })
  )
})
