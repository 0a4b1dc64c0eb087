import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse, type HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { expectTypeOf } from "vitest"
import type { LayerOptions } from "@breakwater/core/Client"
import type { FatalError, OutcomeUnknown, RetryableError } from "@breakwater/core/ProviderError"
import {
  type Accepted,
  SendGrid,
  type Validated,
  acceptedAs,
  byCustomArg,
  regions
} from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, Hint, SimulatedNetwork, SimulatedSendGrid } from "@breakwater/testkit"
import { inTime, quietly, shortly, toEnd } from "../stripe/Checkout.ts"

const payload = {
  personalizations: [{ to: [{ email: "ada@customer.example", name: "Ada Lovelace" }] }],
  from: { email: "shop@shop.example" },
  subject: "Your order",
  content: [{ type: "text/plain", value: "It is on its way." }],
  custom_args: { order: "7" }
} as const

const send = ({ mail }: SendGrid["Service"]) => mail.send({ payload })
const find = ({ messages }: SendGrid["Service"], order: string) =>
  messages.list({ query: { query: byCustomArg("order", order) } })

interface Options {
  readonly faults?: ReadonlyArray<Fault.Fault>
  readonly plan?: FaultPlan.FaultPlan
  readonly simulated?: SimulatedSendGrid.Options
  readonly client?: Partial<LayerOptions>
}

/** Our client over a simulated SendGrid, until the scope of the test closes. */
const open = Effect.fnUntraced(function* ({ client, faults = [], plan, simulated: options }: Options = {}) {
  const simulated = yield* SimulatedSendGrid.make(options)
  const network = SimulatedNetwork.layer([simulated], { plan: plan ?? FaultPlan.script(faults) })
  const credential = Redacted.make(SimulatedSendGrid.defaultApiKey)
  const live = SendGrid.layer({ credential, environment: "production", ...client })
  const sendgrid = Context.get(yield* Layer.build(Layer.provide(live, network)), SendGrid)
  return { sendgrid, simulated, ledger: simulated.ledger }
})

/** A network on which every send is accepted, and what was sent. */
const wire = () => {
  const bodies: Array<{ readonly url: string; readonly settings: unknown }> = []
  const client = HttpClient.make((request: HttpClientRequest.HttpClientRequest, url) =>
    Effect.sync(() => {
      const text = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : "{}"
      bodies.push({ url: url.href, settings: (JSON.parse(text) as { mail_settings?: unknown }).mail_settings })
      return HttpClientResponse.fromWeb(
        request,
        new Response(null, { status: 202, headers: { "x-message-id": "abc" } })
      )
    })
  )
  return { bodies, network: Layer.succeed(HttpClient.HttpClient, client) }
}

describe("SendGrid: the types", () => {
  it("say that a send may be in doubt, and reads may not (SAFE-3)", () => {
    type Result<F> = F extends (...args: never) => infer E ? E : never
    type Operations = SendGrid["Service"]

    expectTypeOf<Result<Operations["mail"]["send"]>>().toEqualTypeOf<
      Effect.Effect<typeof Accepted.Type | typeof Validated.Type, RetryableError | FatalError | OutcomeUnknown>
    >()
    expectTypeOf<Effect.Error<Result<Operations["messages"]["list"]>>>().toEqualTypeOf<RetryableError | FatalError>()
  })
})

describe("SendGrid: sending", () => {
  it.effect("is accepted under an id, by which its message begins (SYS-4)", () =>
    Effect.gen(function* () {
      const { ledger, sendgrid } = yield* open()
      const accepted = yield* inTime(send(sendgrid))
      yield* TestClock.adjust("2 minutes")
      const { messages } = yield* inTime(find(sendgrid, "7"))

      assert(accepted._tag === "Accepted")
      assert.deepStrictEqual(messages.map(acceptedAs), [accepted.messageId])
      assert.deepStrictEqual(
        ledger.entries.map(({ ids, kind, metadata }) => [kind, ids["message"], metadata]),
        [
          ["email.accepted", accepted.messageId, { order: "7" }],
          ["email.delivered", messages[0]?.msg_id, { order: "7" }]
        ]
      )
    }).pipe(quietly)
  )

  /** Each fault that strikes the first request, what the call comes to, and how many e-mails there are. */
  const cases: ReadonlyArray<readonly [fault: Fault.Fault, outcome: string, accepted: number]> = [
    [Fault.refused, "succeeded", 1],
    [Fault.dns(), "succeeded", 1],
    [Fault.tls(), "succeeded", 1],
    [Fault.connectBlackhole(), "succeeded", 1],
    [Fault.rateLimited(), "succeeded", 1],
    [Fault.resetBefore, "OutcomeUnknown TransportFailed after 1", 0],
    [Fault.lostResponse, "OutcomeUnknown TransportFailed after 1", 1],
    [Fault.blackhole(), "OutcomeUnknown Timeout after 1", 0],
    [Fault.blackhole({ processed: true }), "OutcomeUnknown Timeout after 1", 1],
    [Fault.status(503), "OutcomeUnknown Unavailable after 1", 0],
    [Fault.status(500, { processed: true }), "OutcomeUnknown Unavailable after 1", 1],
    [Fault.status(408), "OutcomeUnknown Unavailable after 1", 0],
    [Fault.html(), "OutcomeUnknown ResponseInvalid after 1", 1],
    [Fault.html(202), "OutcomeUnknown ResponseInvalid after 1", 1],
    [Fault.status(413), "FatalError InvalidRequest after 1", 0],
    [Fault.status(403), "FatalError PermissionDenied after 1", 0]
  ]
  for (const [fault, outcome, accepted] of cases) {
    it.effect(`comes to ${outcome} under ${fault.name}, and is not sent again unless nothing was done (SAFE-2)`, () =>
      Effect.gen(function* () {
        const { ledger, sendgrid } = yield* open({ faults: [fault] })

        assert.strictEqual(shortly(yield* toEnd(send(sendgrid))), outcome)
        assert.strictEqual(ledger.ofKind("email.accepted").length, accepted)
      }).pipe(quietly)
    )
  }

  it.effect("gives up on silence after 3 s (SYS-4)", () =>
    Effect.gen(function* () {
      const { sendgrid } = yield* open({ faults: [Fault.blackhole()] })
      const error = yield* inTime(Effect.flip(send(sendgrid)))

      assert.strictEqual(error.reason.message, "silence timeout after 3s")
    }).pipe(quietly)
  )

  it.effect("retries a read three times, and a send that met no connection as often (SYS-4)", () =>
    Effect.gen(function* () {
      const down = yield* open({ plan: FaultPlan.always(Fault.status(503)) })
      const away = yield* open({ plan: FaultPlan.always(Fault.refused) })

      assert.strictEqual(shortly(yield* toEnd(find(down.sendgrid, "7"))), "RetryableError Unavailable after 4")
      assert.strictEqual(shortly(yield* toEnd(send(away.sendgrid))), "RetryableError TransportFailed after 4")
    }).pipe(quietly)
  )

  it.effect("waits for the window that SendGrid tells of, which has no Retry-After (RATE-2)", () =>
    Effect.gen(function* () {
      const { ledger, sendgrid } = yield* open({ faults: [Fault.rateLimited(Hint.xRateLimit({ resetSeconds: 5 }))] })
      yield* inTime(send(sendgrid))

      assert.strictEqual(ledger.exchanges.length, 2)
      assert.isAtLeast(ledger.exchanges[1]?.at ?? 0, 5000)
    }).pipe(quietly)
  )

  it.effect("refuses what SendGrid would refuse before anything is sent (SAFE-9)", () =>
    Effect.gen(function* () {
      const { ledger, sendgrid } = yield* open()
      const wrong = { ...payload, personalizations: [{ to: [{ email: "ada at customer.example" }] }] } as const
      const error = yield* inTime(Effect.flip(sendgrid.mail.send({ payload: wrong })))

      assert(error._tag === "FatalError" && error.reason._tag === "InvalidRequest")
      assert.deepStrictEqual(
        [error.attempts, error.reason.field, error.reason.detail],
        [0, "personalizations.0.to.0.email", "must be an e-mail address"]
      )
      assert.notInclude(JSON.stringify(error), "ada")
      assert.strictEqual(ledger.exchanges.length, 0)
    }).pipe(quietly)
  )

  it.effect("says which field SendGrid refused", () =>
    Effect.gen(function* () {
      const { sendgrid } = yield* open({ simulated: { senders: [] } })
      const error = yield* inTime(Effect.flip(send(sendgrid)))

      assert(error._tag === "FatalError" && error.reason._tag === "PermissionDenied")
      assert.strictEqual(error.reason.code, "from")
      assert.include(error.excerpt ?? "", "verified Sender Identity")
    }).pipe(quietly)
  )
})

describe("SendGrid: the sandbox", () => {
  it.effect("is the default: e-mails are checked, and none is sent, whichever key is used", () =>
    Effect.gen(function* () {
      const { ledger, sendgrid } = yield* open({ client: { environment: undefined } })

      assert.deepStrictEqual(yield* inTime(send(sendgrid)), { _tag: "Validated" })
      assert.deepStrictEqual(ledger.entries, [])
    }).pipe(quietly)
  )

  it.effect("has the last word over a payload, and leaves production alone", () =>
    Effect.gen(function* () {
      const { bodies, network } = wire()
      const credential = Redacted.make("SG.a.b")
      const of = (environment: "sandbox" | "production") =>
        Effect.map(Layer.build(Layer.provide(SendGrid.layer({ credential, environment }), network)), (context) =>
          Context.get(context, SendGrid)
        )
      const loud = { ...payload, mail_settings: { sandbox_mode: { enable: false } } }
      const [sandbox, production] = [yield* of("sandbox"), yield* of("production")]
      yield* sandbox.mail.send({ payload: loud })
      yield* production.mail.send({ payload })
      yield* production.mail.send({ payload: loud })

      assert.deepStrictEqual(
        bodies.map(({ settings }) => settings),
        [{ sandbox_mode: { enable: true } }, undefined, { sandbox_mode: { enable: false } }]
      )
    }).pipe(quietly)
  )

  it.effect("is what Config says, and sandbox where it says nothing (AUTH-1)", () =>
    Effect.gen(function* () {
      const outcomeOf = Effect.fnUntraced(function* (settings: Record<string, string>) {
        const simulated = yield* SimulatedSendGrid.make({ apiKey: "SG.from.config" })
        const config = ConfigProvider.layer(
          ConfigProvider.fromUnknown({ SENDGRID_API_KEY: "SG.from.config", ...settings })
        )
        const live = SendGrid.layerConfig().pipe(
          Layer.provide(SimulatedNetwork.layer([simulated])),
          Layer.provide(config)
        )
        const sendgrid = Context.get(yield* Layer.build(live), SendGrid)
        return (yield* inTime(send(sendgrid)))._tag
      })

      assert.deepStrictEqual(
        [
          yield* outcomeOf({}),
          yield* outcomeOf({ SENDGRID_ENVIRONMENT: "sandbox" }),
          yield* outcomeOf({ SENDGRID_ENVIRONMENT: "production" }),
          yield* outcomeOf({ SENDGRID_ENVIRONMENT: "production", SENDGRID_BASE_URL: regions.eu })
        ],
        ["Validated", "Validated", "Accepted", "Accepted"]
      )
      const typo = yield* Effect.flip(outcomeOf({ SENDGRID_ENVIRONMENT: "prod" }))
      assert.include(String(typo), "production")
    }).pipe(quietly)
  )
})

describe("SendGrid: what is nobody's business", () => {
  it.effect("keeps addresses, names, subjects and contents out of errors and logs (AUTH-10)", () => {
    const lines: Array<string> = []
    const quoted = { errors: [{ message: `refused: ${JSON.stringify(payload)}`, field: "from", help: null }] }
    const program = Effect.gen(function* () {
      const client = HttpClient.make((request) =>
        Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(JSON.stringify(quoted), { status: 400 })))
      )
      const credential = Redacted.make("SG.secretkeyid.secretkeyitself")
      const live = SendGrid.layer({ credential, environment: "production" })
      const network = Layer.succeed(HttpClient.HttpClient, client)
      const sendgrid = Context.get(yield* Layer.build(Layer.provide(live, network)), SendGrid)
      const error = yield* Effect.flip(send(sendgrid))
      const seen = [String(error), JSON.stringify(error), ...lines].join("\n")

      for (const secret of ["ada@", "shop@", "Lovelace", "Your order", "on its way", "secretkey"])
        assert.notInclude(seen, secret)
      assert.include(error.excerpt ?? "", "refused", "the body is quoted")
      assert.isAbove(lines.length, 1)
    })
    return quietly(program, lines)
  })

  it.effect("takes any key of SendGrid's out of texts", () =>
    Effect.gen(function* () {
      const key = "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"
      const client = HttpClient.make((request) =>
        Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(`not ${key}, is it?`, { status: 400 })))
      )
      const live = SendGrid.layer({ credential: Redacted.make("SG.a.b"), environment: "production" })
      const network = Layer.succeed(HttpClient.HttpClient, client)
      const sendgrid = Context.get(yield* Layer.build(Layer.provide(live, network)), SendGrid)

      assert.strictEqual((yield* Effect.flip(send(sendgrid))).excerpt, "not <redacted>, is it?")
    }).pipe(quietly)
  )
})
