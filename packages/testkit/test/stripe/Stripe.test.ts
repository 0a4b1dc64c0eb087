import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { Fault, FaultPlan, SimulatedNetwork, SimulatedStripe } from "@breakwater/testkit"

const url = "https://api.stripe.com"
const charge = { amount: "4200", currency: "eur", confirm: "true", payment_method: "pm_card_visa" }

interface Seen {
  readonly status: number
  readonly body: { readonly id?: string; readonly livemode?: boolean; readonly error?: Record<string, unknown> }
  readonly headers: Readonly<Record<string, string>>
}

interface Ask {
  readonly key?: string | undefined
  readonly form?: Record<string, string> | undefined
  readonly authorization?: string | undefined
}

const world = Effect.fnUntraced(function* (options?: SimulatedStripe.Options, plan?: FaultPlan.FaultPlan) {
  const simulated = yield* SimulatedStripe.make(options)
  const client = yield* SimulatedNetwork.client([simulated], { plan })
  const send = (request: HttpClientRequest.HttpClientRequest, ask: Ask) =>
    request.pipe(
      HttpClientRequest.setHeader(
        "authorization",
        ask.authorization ?? `Bearer ${options?.apiKey ?? SimulatedStripe.defaultApiKey}`
      ),
      ask.key === undefined ? (same) => same : HttpClientRequest.setHeader("idempotency-key", ask.key),
      client.execute,
      Effect.flatMap((response) =>
        Effect.map(response.json, (body): Seen => ({
          status: response.status,
          body: body as Seen["body"],
          headers: { ...response.headers }
        }))
      )
    )
  const post = (path: string, ask: Ask = {}) =>
    send(HttpClientRequest.post(url + path).pipe(HttpClientRequest.bodyUrlParams(ask.form ?? {})), ask)
  const get = (path: string, ask: Ask = {}) => send(HttpClientRequest.get(url + path), ask)
  return {
    ledger: simulated.ledger,
    send,
    post,
    get,
    pay: (ask: Ask = {}) => post("/v1/payment_intents", { form: charge, ...ask })
  }
})

const code = ({ body }: Seen) => body.error?.["code"]
const replayed = ({ headers }: Seen) => headers["idempotent-replayed"] === "true"

describe("SimulatedStripe", () => {
  it.effect("signs every answer with its id, version and key", () =>
    Effect.gen(function* () {
      const { get, pay } = yield* world()
      const first = yield* pay({ key: "a" })
      const second = yield* pay({ key: "a" })
      const list = yield* get("/v1/payment_intents", { key: "a" })

      assert.deepStrictEqual(
        [first.headers["stripe-version"], first.headers["idempotency-key"]],
        ["2026-10-28.endive", "a"]
      )
      assert.match(first.headers["request-id"] ?? "", /^req_\w+$/u)
      assert.notStrictEqual(second.headers["request-id"], first.headers["request-id"])
      assert.isUndefined(list.headers["idempotency-key"], "keys are for writes")
    })
  )

  it.effect("is live or not by its key, and takes it as a bearer token or as a user", () =>
    Effect.gen(function* () {
      const { pay } = yield* world({ apiKey: "sk_live_4242" })
      const basic = `Basic ${btoa("sk_live_4242:")}`

      assert.deepStrictEqual(
        [(yield* pay()).body.livemode, (yield* pay({ authorization: basic })).body.livemode],
        [true, true]
      )
      for (const authorization of [
        "Bearer sk_live_42",
        "Basic !",
        `Basic ${btoa("sk_live_42:")}`,
        "sk_live_4242",
        ""
      ]) {
        assert.strictEqual((yield* pay({ authorization })).status, 401)
      }
    })
  )

  it.effect("stores a 500 of an endpoint that had begun, and says so (IDEM-1)", () =>
    Effect.gen(function* () {
      const { ledger, pay } = yield* world({}, FaultPlan.script([Fault.crash({ processed: true })]))
      const first = yield* pay({ key: "a" })
      const second = yield* pay({ key: "a" })

      assert.deepStrictEqual([first.status, replayed(first), second.status, replayed(second)], [500, false, 500, true])
      assert.deepStrictEqual(second.body, first.body)
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    })
  )

  it.effect("stores a decline", () =>
    Effect.gen(function* () {
      const { ledger, pay } = yield* world()
      const form = { ...charge, payment_method: "pm_card_visa_chargeDeclined" }
      const first = yield* pay({ key: "a", form })
      const second = yield* pay({ key: "a", form })

      assert.deepStrictEqual([first.status, second.status, replayed(second)], [402, 402, true])
      assert.deepStrictEqual(second.body, first.body)
      assert.strictEqual(ledger.ofKind("charge.declined").length, 1)
    })
  )

  it.effect("stores nothing that was refused before work: bad parameters, a bad key, too many requests", () =>
    Effect.gen(function* () {
      const { ledger, pay } = yield* world({ rateLimit: 3 })
      const bad = yield* pay({ key: "a", form: { ...charge, amount: "-1" } })
      const wrong = yield* pay({ key: "a", authorization: "Bearer sk_test_wrong" })
      yield* pay()
      yield* pay()
      const limited = yield* pay({ key: "a" })
      yield* TestClock.adjust("1 second")
      const good = yield* pay({ key: "a" })

      assert.deepStrictEqual(
        [bad.status, wrong.status, limited.status, good.status, replayed(good)],
        [400, 401, 429, 200, false]
      )
      assert.strictEqual(limited.headers["stripe-rate-limited-reason"], "global-rate")
      assert.strictEqual(ledger.byKey("a").length, 1)
    })
  )

  it.effect("tells a key that is used with other parameters, and takes the same ones in another order", () =>
    Effect.gen(function* () {
      const { pay } = yield* world()
      yield* pay({ key: "a" })
      const other = yield* pay({ key: "a", form: { ...charge, amount: "1" } })
      const same = yield* pay({ key: "a", form: Object.fromEntries(Object.entries(charge).toReversed()) })

      assert.deepStrictEqual(
        [other.status, other.body.error?.["type"], code(other)],
        [400, "idempotency_error", undefined]
      )
      assert.deepStrictEqual([same.status, replayed(same)], [200, true])
    })
  )

  it.effect("tells a key that is in use", () =>
    Effect.gen(function* () {
      const { ledger, pay } = yield* world({ latency: "3 seconds" })
      const first = yield* Effect.forkChild(pay({ key: "a" }), { startImmediately: true })
      const during = yield* pay({ key: "a" })
      yield* TestClock.adjust("3 seconds")

      assert.deepStrictEqual([during.status, code(during)], [409, "idempotency_key_in_use"])
      assert.strictEqual((yield* Fiber.join(first)).status, 200)
      assert.strictEqual(ledger.entries.length, 1)
    })
  )

  it.effect("forgets a key after 24 hours", () =>
    Effect.gen(function* () {
      const { ledger, pay } = yield* world()
      yield* pay({ key: "a" })
      yield* TestClock.adjust("23 hours")
      const within = yield* pay({ key: "a" })
      yield* TestClock.adjust("1 hour")
      const after = yield* pay({ key: "a" })

      assert.deepStrictEqual([replayed(within), replayed(after)], [true, false])
      assert.strictEqual(ledger.byKey("a").length, 2)
    })
  )

  it.effect("takes keys of at most 255 characters", () =>
    Effect.gen(function* () {
      const { pay } = yield* world()

      assert.deepStrictEqual(
        [(yield* pay({ key: "a".repeat(255) })).status, (yield* pay({ key: "a".repeat(256) })).status],
        [200, 400]
      )
    })
  )

  it.effect("lets 25 requests a second through in the sandbox, 100 in live mode", () =>
    Effect.gen(function* () {
      const passed = Effect.fnUntraced(function* (options: SimulatedStripe.Options) {
        const { get } = yield* world(options)
        const statuses = yield* Effect.forEach(Array.from({ length: 120 }), () =>
          Effect.map(get("/v1/payment_intents"), ({ status }) => status)
        )
        return statuses.filter((status) => status === 200).length
      })

      assert.deepStrictEqual([yield* passed({}), yield* passed({ apiKey: "sk_live_1" })], [25, 100])
    })
  )

  it.effect("says which parameter is wrong, as it names them", () =>
    Effect.gen(function* () {
      const { pay } = yield* world()
      const wrong = (form: Record<string, string>) =>
        Effect.map(pay({ form: { ...charge, ...form } }), ({ body }) => [body.error?.["code"], body.error?.["param"]])

      assert.deepStrictEqual(yield* wrong({ amount: "ten" }), ["parameter_invalid_integer", "amount"])
      assert.deepStrictEqual(yield* wrong({ currency: "EURO" }), ["parameter_invalid_string_format", "currency"])
      assert.deepStrictEqual(yield* wrong({ "automatic_payment_methods[enabled]": "perhaps" }), [
        "parameter_unknown",
        "automatic_payment_methods[enabled]"
      ])
      assert.deepStrictEqual(yield* wrong({ unheard_of: "yes", "expand[]": "latest_charge" }), [undefined, undefined])
    })
  )

  it.effect("reads every body as a form, whatever it says it is", () =>
    Effect.gen(function* () {
      const { ledger, send } = yield* world()
      const form = new URLSearchParams(charge).toString()
      const statuses: Array<number> = []
      for (const type of ["text/plain;charset=UTF-8", "application/json"]) {
        const request = HttpClientRequest.post(`${url}/v1/payment_intents`).pipe(HttpClientRequest.bodyText(form, type))
        statuses.push((yield* send(request, {})).status)
      }

      assert.deepStrictEqual(statuses, [200, 200])
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 2)
    })
  )

  it.effect("keeps the time of the test clock", () =>
    Effect.gen(function* () {
      const { ledger, pay } = yield* world()
      yield* TestClock.setTime(Date.UTC(2026, 10, 21))
      const { body } = yield* pay()

      assert.strictEqual((body as { created?: number }).created, Date.UTC(2026, 10, 21) / 1000)
      assert.strictEqual(ledger.entries[0]?.at, Date.UTC(2026, 10, 21))
    })
  )
})
