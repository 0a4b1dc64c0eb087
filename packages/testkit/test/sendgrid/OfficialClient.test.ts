/** The vendor's own client is the judge of the simulation: nobody here wrote it. */
import { assert, describe, it } from "@effect/vitest"
import officialClient from "@sendgrid/client"
import officialMail from "@sendgrid/mail"
import { Effect } from "effect"
import { byCustomArg } from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, SimulatedSendGrid } from "@breakwater/testkit"
import * as Serve from "@breakwater/testkit/node/Serve"

/** The package gives out one instance; its types hide the class. */
const another = <A extends object>(instance: A): A => Reflect.construct(instance.constructor, []) as A

type MailData = Exclude<Parameters<typeof officialMail.send>[0], ReadonlyArray<unknown>>

const connect = (url: string, apiKey = SimulatedSendGrid.defaultApiKey) => {
  const client = another(officialClient)
  client.setApiKey(apiKey)
  client.setDefaultRequest("baseUrl", `${url}/`)
  const mail = another(officialMail)
  mail.setClient(client)
  return { client, mail }
}

const world = Effect.fnUntraced(function* (
  options?: SimulatedSendGrid.Options,
  plan?: FaultPlan.FaultPlan,
  apiKey?: string
) {
  const simulated = yield* SimulatedSendGrid.make({ activityLag: 0, delivery: 0, ...options })
  const { url } = yield* Serve.make(simulated, { plan })
  const { client, mail } = connect(url, apiKey)
  const send = (data: Partial<MailData> = {}) =>
    Effect.promise(async () => {
      const [response] = await mail.send({ ...email, ...data })
      const headers = response.headers as Record<string, string>
      return { status: response.statusCode, body: response.body, id: headers["x-message-id"] }
    })
  const refusal = (data: Partial<MailData>) => rejection(() => mail.send({ ...email, ...data }))
  return { simulated, client, mail, send, refusal }
})

/** The error with which a promise is rejected, as SendGrid's client has it. */
const rejection = (run: () => Promise<unknown>) =>
  Effect.promise(() =>
    run().then(
      () => assert.fail("it succeeded"),
      (error: {
        readonly code: number
        readonly response: { readonly body: { readonly errors: ReadonlyArray<Record<string, unknown>> } }
      }) => {
        const { field, message } = error.response.body.errors[0]!
        return { status: error.code, field, message: String(message) }
      }
    )
  )

const email = {
  to: { email: "ada@customer.example", name: "Ada" },
  from: "Shop <shop@shop.example>",
  subject: "Your order",
  text: "It is on its way.",
  html: "<p>It is on its way.</p>",
  customArgs: { order: "7" }
}

describe("the official SendGrid client", () => {
  it.live("sends, and finds what it sent by its reference (SYS-4)", () =>
    Effect.gen(function* () {
      const { client, send, simulated } = yield* world()
      const first = yield* send()
      yield* send({ customArgs: { order: "8" } })
      const [, found] = yield* Effect.promise(() =>
        client.request({ url: "/v3/messages", method: "GET", qs: { query: byCustomArg("order", "7"), limit: 10 } })
      )

      assert.deepStrictEqual([first.status, first.body], [202, "" as never])
      assert.match(first.id ?? "", /^[\w-]{22}$/u)
      const { messages } = found as { readonly messages: ReadonlyArray<Record<string, string>> }
      assert.deepStrictEqual(
        messages.map(({ from_email: from, status, subject, to_email: to }) => [from, to, subject, status]),
        [["shop@shop.example", "ada@customer.example", "Your order", "delivered"]]
      )
      assert.isTrue(messages[0]?.["msg_id"]?.startsWith(`${first.id}.`))
      assert.deepStrictEqual(
        simulated.ledger.entries.map(({ kind, metadata }) => [kind, metadata["order"]]),
        [
          ["email.accepted", "7"],
          ["email.delivered", "7"],
          ["email.accepted", "8"],
          ["email.delivered", "8"]
        ]
      )
    })
  )

  it.live("sends one request to many, each with arguments of its own", () =>
    Effect.gen(function* () {
      const { mail, simulated } = yield* world()
      const personalizations = ["ada", "bob", "bounced"].map((name) => ({
        to: `${name}@customer.example`,
        customArgs: { name }
      }))
      yield* Effect.promise(() => mail.send({ ...email, to: undefined, personalizations } as unknown as MailData))

      assert.deepStrictEqual(
        simulated.ledger.entries.map(({ kind, metadata }) => [kind, metadata]),
        [
          ["email.accepted", { order: "7" }],
          ["email.delivered", { order: "7", name: "ada" }],
          ["email.delivered", { order: "7", name: "bob" }],
          ["email.bounced", { order: "7", name: "bounced" }]
        ]
      )
    })
  )

  it.live("checks a request in sandbox mode, and sends nothing", () =>
    Effect.gen(function* () {
      const { refusal, send, simulated } = yield* world()
      const mailSettings = { sandboxMode: { enable: true } }
      const checked = yield* send({ mailSettings })
      const wrong = yield* refusal({ mailSettings, subject: "" })

      assert.deepStrictEqual([checked.status, checked.body, checked.id], [200, "" as never, undefined])
      assert.deepStrictEqual([wrong.status, wrong.field], [400, "subject"])
      assert.deepStrictEqual(simulated.ledger.entries, [])
    })
  )

  it.live("does not send again by itself: a lost answer is the caller's trouble", () =>
    Effect.gen(function* () {
      const { mail, simulated } = yield* world({}, FaultPlan.script([Fault.lostResponse]))
      const error = yield* Effect.promise(() =>
        mail.send(email).then(
          () => undefined,
          (error: unknown) => error
        )
      )

      assert.strictEqual((error as { readonly code?: string }).code, "ECONNRESET")
      assert.strictEqual(simulated.ledger.ofKind("email.accepted").length, 1)
    })
  )

  it.live("is told what is wrong in the vendor's words", () =>
    Effect.gen(function* () {
      const { client, refusal } = yield* world({ senders: ["shop@shop.example"] })
      const stranger = yield* refusal({ from: "mallory@shop.example" })
      const address = yield* refusal({ to: "nobody" })
      const subject = yield* refusal({ subject: "" })
      const twice = yield* refusal({ cc: "ADA@customer.example" })
      const args = yield* refusal({ customArgs: { order: "x".repeat(10_000) } })
      const path = yield* rejection(() => client.request({ url: "/v3/templates", method: "GET" }))
      const query = yield* rejection(() =>
        client.request({ url: "/v3/messages", method: "GET", qs: { query: 'bad_field="1"' } })
      )
      const post = (body: object) => rejection(() => client.request({ url: "/v3/mail/send", method: "POST", body }))
      const nobody = yield* post({ from: { email: "shop@shop.example" } })
      const empty = yield* post({ personalizations: [], from: { email: "shop@shop.example" } })
      const unsaid = yield* post({ personalizations: [{ to: [{ email: "a@b.example" }] }] })
      const blank = yield* post({
        personalizations: [{ to: [{ email: "a@b.example" }] }],
        from: { email: "shop@shop.example" },
        subject: "Hello"
      })

      assert.deepStrictEqual(
        [stranger, address, subject, twice, args, path, query, nobody, empty, unsaid, blank].map(
          ({ field, message, status }) => [status, field, message.slice(0, 40)]
        ),
        [
          [403, "from", "The from address does not match a verifi"],
          [400, "personalizations.0.to.0.email", "Does not contain a valid address."],
          [400, "subject", "The subject is required. You can get aro"],
          [400, "personalizations.0.to", "Each email address in the personalizatio"],
          [400, "custom_args", "The length of all custom args must be le"],
          [404, null, "not found"],
          [400, "query", "invalid syntax: 'bad_field' is not a kno"],
          [400, "personalizations", "The personalizations field is required a"],
          [400, "personalizations", "The personalizations field is required a"],
          [400, "from.email", "The from object must be provided for eve"],
          [400, "content", "Unless a valid template_id is provided, "]
        ]
      )
    })
  )

  it.live("is refused without its key, and without the add-on", () =>
    Effect.gen(function* () {
      const wrong = yield* world({}, undefined, "SG.another.key")
      const { client } = yield* world({ scopes: ["mail.send"] })
      const search = { url: "/v3/messages", method: "GET" as const, qs: { query: byCustomArg("order", "7") } }
      const [, scopes] = yield* Effect.promise(() => client.request({ url: "/v3/scopes", method: "GET" }))
      const seen = [yield* wrong.refusal({}), yield* rejection(() => client.request(search))]

      assert.deepStrictEqual(seen, [
        {
          status: 401,
          field: null,
          message: "The provided authorization grant is invalid, expired, or revoked"
        },
        { status: 403, field: null, message: "access forbidden" }
      ])
      assert.deepStrictEqual(scopes as unknown, { scopes: ["mail.send"] })
    })
  )

  it.live("is limited at each endpoint by itself, and told what is left", () =>
    Effect.gen(function* () {
      const { client, send } = yield* world({ rateLimit: 2 })
      const ask = () => client.request({ url: "/v3/scopes", method: "GET" })
      const [first] = yield* Effect.promise(ask)
      yield* Effect.promise(ask)
      const refused = yield* rejection(ask)
      const sent = yield* send()

      const headers = first.headers as Record<string, string>
      assert.deepStrictEqual([headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]], ["2", "1"])
      assert.isAbove(Number(headers["x-ratelimit-reset"]), 1.7e9)
      assert.deepStrictEqual(refused, { status: 429, field: null, message: "too many requests" })
      assert.strictEqual(sent.status, 202)
    })
  )
})
