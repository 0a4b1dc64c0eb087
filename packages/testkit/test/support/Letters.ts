/**
 * One e-mail, sent by a process that may be killed, and looked for by another: SendGrid takes no keys, so that what is in doubt may be sent again only when it is certain that it was not sent.
 */
import { Client, IdempotencyStore, Provider, Resolution, Resolver } from "@breakwater/core"
import { once } from "@breakwater/core/Idempotency"
import { Connections } from "@breakwater/core/Connections"
import { scopeOf } from "@breakwater/core/IdempotencyRecord"
import { SendGrid, api, byCustomArg } from "@breakwater/providers/sendgrid"
import { Fault, FaultMenu, Process, SimulatedNetwork, SimulatedSendGrid, Simulation } from "@breakwater/testkit"
import { type Duration, Effect, Exit, Layer, Redacted } from "effect"
import { HttpApi, HttpApiGroup } from "effect/http-api"

const key = "order/8731/confirmation"
const id = {
  scope: scopeOf({ operation: "sendgrid.mail.send", connection: "default", environment: "production" }),
  key
}
const day = 86_400_000

const payload = {
  personalizations: [{ to: [{ email: "ada@customer.example" }] }],
  from: { email: "shop@shop.example" },
  subject: "Your order",
  content: [{ type: "text/plain", value: "It is on its way." }]
} as const

/** What may go wrong with a send or with looking for it. */
const faults = [
  Fault.latency("12 seconds"),
  Fault.resetBefore,
  Fault.lostResponse,
  Fault.status(500, { processed: true }),
  Fault.silence,
  Fault.garbage,
  Fault.rateLimited(),
  Fault.blackhole({ processed: true })
]

type Store = IdempotencyStore.IdempotencyStore["Service"]

export interface World {
  readonly sendgrid: SimulatedSendGrid.SimulatedSendGrid
  readonly store: Store
  told: boolean
}

/** SendGrid, declared with another way of finding an e-mail. */
const declaredWith = (match: (found: boolean) => boolean): typeof SendGrid.provider => {
  const { mail, messages, scopes } = api.groups
  const send = mail.endpoints.send.pipe(
    Resolution.lookup(messages.endpoints.list, {
      reference: "custom_args.reference",
      request: () => ({ query: { query: byCustomArg("reference", key), limit: 1 } }),
      match: ({ messages: found }) => (match(found.length > 0) ? ({ _tag: "Validated" } as const) : undefined),
      settlesAfter: "15 minutes"
    })
  )
  const changed = HttpApi.make("sendgrid").add(HttpApiGroup.make("mail").add(send), messages, scopes)
  return Provider.make("sendgrid", { ...SendGrid.provider, api: changed }) as never
}

export interface Options {
  /** By how much the activity may lag behind. */
  readonly lag: Duration.Input
  /** What the look-up makes of what it found. Default: SendGrid's own declaration. */
  readonly match?: ((found: boolean) => boolean) | undefined
  /** How often the other process looks. Default `"7 minutes"`. */
  readonly every?: Duration.Input | undefined
}

/** A client of its own for each life of a process. */
const within = <A, E, R>({ sendgrid }: World, { match }: Options, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const provider = match === undefined ? SendGrid.provider : declaredWith(match)
    const credential = Redacted.make(SimulatedSendGrid.defaultApiKey)
    const live = Client.layer(SendGrid, provider, { credential, environment: "production" }).pipe(
      Layer.provide(SimulatedNetwork.layer([sendgrid], { plan: FaultMenu.make(faults) }))
    )
    return effect.pipe(Effect.provide(live), Effect.provideService(Connections, new Set()), Effect.orDie)
  })

/** Sends with its record, as a call does: claimed, announced, sent, settled. */
const attempt = Effect.fnUntraced(function* (store: Store) {
  const { mail } = yield* SendGrid
  const answer = yield* store.claim({ ...id, fingerprint: "f", leaseMillis: 60_000, windowMillis: 0 })
  if (answer._tag === "Settled") return true
  if (answer._tag === "Unknown") yield* Simulation.sometimes("somebody has to find out")
  if (answer._tag !== "Granted") return false
  const { claim } = answer
  yield* store.sending(claim, 60_000)
  const sent = yield* Effect.exit(mail.send({ payload }).pipe(once(key)))
  const isDone = Exit.isSuccess(sent)
  const isDoubt =
    !isDone &&
    sent.cause.reasons.some((each) => "error" in each && (each.error as { _tag: string })._tag === "OutcomeUnknown")
  const undone = { _tag: "Undone", retentionMillis: day } as const
  const done = { _tag: "Succeeded", payload: { version: 1, value: {} }, retentionMillis: day } as const
  yield* store.settle(claim, isDone ? done : isDoubt ? { _tag: "Unknown" } : undone)
  return isDone
})

const sending = Effect.fnUntraced(function* (world: World) {
  while (!(yield* attempt(world.store))) yield* Effect.sleep("5 minutes")
  world.told = true
})

const looking = Effect.fnUntraced(function* ({ store }: World, { every = "7 minutes" }: Options) {
  for (;;) {
    yield* Effect.sleep(every)
    yield* Effect.provideService(Resolver.sweep(), IdempotencyStore.IdempotencyStore, store)
  }
})

/** The whole of it, judged by what SendGrid has accepted. */
export const letters = (options: Options) =>
  Simulation.make({
    name: "e-mail in doubt",
    world: Effect.map(SimulatedSendGrid.make({ activityLag: options.lag }), (sendgrid): World => ({
      sendgrid,
      store: IdempotencyStore.memory(),
      told: false
    })),
    program: (world: World) =>
      Effect.gen(function* () {
        const sender = yield* Process.start("sender", within(world, options, sending(world)), { maxKills: 2 })
        yield* Process.start("resolver", within(world, options, looking(world, options)), { maxKills: 1 })
        yield* sender.join
      }),
    invariant: ({ world: { sendgrid, told } }: { readonly world: World }) => {
      const accepted = sendgrid.ledger.ofKind("email.accepted").length
      if (accepted > 1) return `the customer was sent ${accepted} e-mails`
      if (accepted === 0) return `no e-mail was sent, and the shop was told ${told ? "that it was" : "nothing"}`
      return told ? undefined : "the shop was told nothing"
    },
    sometimes: { "somebody has to find out": Simulation.marked },
    timeline: ({ sendgrid }: World) => ({ ledger: sendgrid.ledger.entries.map(({ at, kind }) => ({ at, text: kind })) })
  })
