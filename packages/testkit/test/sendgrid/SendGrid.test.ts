import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { byCustomArg, regions } from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, SimulatedNetwork, SimulatedSendGrid } from "@breakwater/testkit"

const email = {
  personalizations: [{ to: [{ email: "ada@customer.example" }] }],
  from: { email: "shop@shop.example" },
  subject: "Hello",
  content: [{ type: "text/plain", value: "Hello." }],
  custom_args: { order: "7" }
}
const to = (...addresses: ReadonlyArray<string>) => ({
  ...email,
  personalizations: [{ to: addresses.map((address) => ({ email: address })) }]
})

interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: {
    readonly messages?: ReadonlyArray<Record<string, string>>
    readonly errors?: ReadonlyArray<{ readonly message: string; readonly field: string | null }>
  }
}

const world = Effect.fnUntraced(function* (options?: SimulatedSendGrid.Options, plan?: FaultPlan.FaultPlan) {
  const simulated = yield* SimulatedSendGrid.make(options)
  const client = yield* SimulatedNetwork.client([simulated], { plan })
  const ask = (request: HttpClientRequest.HttpClientRequest, key?: string) =>
    request.pipe(
      HttpClientRequest.bearerToken(key ?? options?.apiKey ?? SimulatedSendGrid.defaultApiKey),
      client.execute,
      Effect.flatMap((response) =>
        Effect.map(response.text, (text): Seen => ({
          status: response.status,
          headers: { ...response.headers },
          body: (text === "" ? {} : JSON.parse(text)) as Seen["body"]
        }))
      )
    )
  const post = (body: object = email, origin: string = regions.global) =>
    ask(HttpClientRequest.post(`${origin}/v3/mail/send`).pipe(HttpClientRequest.bodyJsonUnsafe(body)))
  const search = (query: string, limit?: number) =>
    ask(
      HttpClientRequest.get(`${regions.global}/v3/messages`).pipe(
        HttpClientRequest.setUrlParams({ query, ...(limit === undefined ? {} : { limit }) })
      )
    )
  const found = (query: string, limit?: number) => Effect.map(search(query, limit), ({ body }) => body.messages ?? [])
  return { simulated, ledger: simulated.ledger, ask, post, search, found }
})

const ordered = (order: string) => ({ ...email, custom_args: { order } })

describe("SimulatedSendGrid", () => {
  it.effect("takes an e-mail with an empty 202 under an id, in either region", () =>
    Effect.gen(function* () {
      const { ledger, post } = yield* world()
      const [here, there] = [yield* post(), yield* post(email, regions.eu)]

      assert.deepStrictEqual([here.status, here.body, there.status], [202, {}, 202])
      assert.match(here.headers["x-message-id"] ?? "", /^[\w-]{22}$/u)
      assert.notStrictEqual(there.headers["x-message-id"], here.headers["x-message-id"])
      assert.strictEqual(ledger.ofKind("email.accepted").length, 2)
    })
  )

  it.effect("knows no keys: what is posted twice arrives twice", () =>
    Effect.gen(function* () {
      const { ledger, post } = yield* world()
      yield* post()
      yield* post()

      assert.strictEqual(ledger.ofKind("email.delivered").length, 2)
    })
  )

  it.effect("tells what became of each recipient, when it did, with the arguments that were sent along", () =>
    Effect.gen(function* () {
      const { post, simulated } = yield* world({ delivery: "10 seconds" })
      yield* TestClock.setTime(1_000_000)
      const { headers } = yield* post(
        to("ada@customer.example", "bounced@x.example", "blocked@x.example", "dropped@x.example")
      )
      const atOnce = yield* simulated.events
      yield* TestClock.adjust("9999 millis")
      const before = yield* simulated.events
      yield* TestClock.adjust("1 millis")
      const after = yield* simulated.events

      assert.deepStrictEqual(
        atOnce.map(({ email, event, timestamp }) => [event, email, timestamp]),
        [
          ["processed", "ada@customer.example", 1000],
          ["processed", "bounced@x.example", 1000],
          ["processed", "blocked@x.example", 1000],
          ["dropped", "dropped@x.example", 1000]
        ]
      )
      assert.strictEqual(before.length, 4)
      assert.deepStrictEqual(
        after.slice(4).map(({ email, event, timestamp, type }) => [event, email, timestamp, type]),
        [
          ["delivered", "ada@customer.example", 1010, undefined],
          ["bounce", "bounced@x.example", 1010, "bounce"],
          ["bounce", "blocked@x.example", 1010, "blocked"]
        ]
      )
      assert.strictEqual(new Set(after.map(({ sg_event_id: id }) => id)).size, after.length)
      assert.isTrue(
        after.every(
          ({ order, sg_message_id: id }) => order === "7" && id.startsWith(`${headers["x-message-id"] ?? "?"}.`)
        )
      )
    })
  )

  it.effect("lets no argument of an e-mail pass for what an event says", () =>
    Effect.gen(function* () {
      const { post, simulated } = yield* world()
      yield* post({ ...email, custom_args: { event: "delivered", email: "mallory@x.example", note: "hi" } })
      const [event] = yield* simulated.events

      assert.deepStrictEqual([event?.event, event?.email, event?.["note"]], ["processed", "ada@customer.example", "hi"])
    })
  )

  it.effect("finds messages by argument, address, subject and status, the newest first, a minute late", () =>
    Effect.gen(function* () {
      const { found, post } = yield* world({ delivery: "5 minutes" })
      yield* post(ordered("7"))
      const tooSoon = yield* found(byCustomArg("order", "7"))
      yield* TestClock.adjust("30 seconds")
      yield* post(ordered("8"))
      yield* TestClock.adjust("30 seconds")
      const first = yield* found('to_email="ada@customer.example"')
      yield* TestClock.adjust("30 seconds")
      const both = yield* found('to_email="ada@customer.example" AND subject="Hello"')
      const [newest] = yield* found('status="processed"', 1)
      yield* TestClock.adjust("4 minutes")
      const [delivered] = yield* found(byCustomArg("order", "7"))

      assert.deepStrictEqual([tooSoon.length, first.length, both.length], [0, 1, 2])
      assert.deepStrictEqual(newest, both[0])
      assert.isTrue((both[0]?.["msg_id"] ?? "") > (both[1]?.["msg_id"] ?? ""), "ids are made in order")
      assert.deepStrictEqual(
        [delivered?.["status"], delivered?.["last_event_time"], newest?.["last_event_time"]],
        ["delivered", "1970-01-01T00:05:00Z", "1970-01-01T00:00:30Z"]
      )
      assert.deepStrictEqual(yield* found(byCustomArg("order", "9")), [])
      assert.deepStrictEqual(yield* found(byCustomArg("toString", "7")), [])
    })
  )

  it.effect("says where a query is wrong", () =>
    Effect.gen(function* () {
      const { search } = yield* world()
      const said = (query: string) =>
        Effect.map(search(query), ({ body, status }) => [status, body.errors?.[0]?.message])

      assert.deepStrictEqual(
        [
          yield* said('bad_field="1"'),
          yield* said("unique_args.order=7"),
          yield* said("(unique_args['order']=\"7\""),
          yield* said('subject="a" OR subject="b"'),
          yield* said('subject="a" AND ')
        ],
        [
          [400, "invalid syntax: 'bad_field' is not a known field"],
          [400, "error parsing input at line 1, position 1: syntax error"],
          [400, "error parsing input at line 1, position 1: syntax error"],
          [400, "error parsing input at line 1, position 1: syntax error"],
          [400, "error parsing input at line 1, position 16: syntax error"]
        ]
      )
    })
  )

  it.effect.prop(
    "finds by whatever names and values an argument has",
    [Schema.Record(Schema.String, Schema.String)],
    ([args]) =>
      Effect.gen(function* () {
        const { found, post } = yield* world({ activityLag: 0 })
        const accepted = yield* post({ ...email, custom_args: args })
        const isTaken = Object.entries(args)
          .flat()
          .every((text) => !/\p{Surrogate}/u.test(text))
        assert.strictEqual(accepted.status, isTaken ? 202 : 400)
        for (const [name, value] of isTaken ? Object.entries(args) : []) {
          assert.strictEqual((yield* found(byCustomArg(name, value))).length, 1)
          assert.strictEqual((yield* found(byCustomArg(name, `${value}"`))).length, 0)
        }
      })
  )

  it.effect("checks in sandbox mode, and leaves no trace", () =>
    Effect.gen(function* () {
      const { found, ledger, post, simulated } = yield* world({ activityLag: 0 })
      const { headers, status } = yield* post({ ...email, mail_settings: { sandbox_mode: { enable: true } } })
      const wrong = yield* post({ ...email, mail_settings: { sandbox_mode: { enable: "true" } } })

      assert.deepStrictEqual([status, headers["x-message-id"]], [200, undefined])
      assert.deepStrictEqual(
        wrong.body.errors?.map(({ message }) => message),
        ["The sandbox mode enable param should be a boolean value."]
      )
      assert.deepStrictEqual(
        [ledger.entries, yield* simulated.events, yield* found(byCustomArg("order", "7"))],
        [[], [], []]
      )
    })
  )

  it.effect("takes less than 30 MB", () =>
    Effect.gen(function* () {
      const { ledger, post } = yield* world()
      const { body, status } = yield* post({ ...email, content: [{ type: "text/plain", value: "x".repeat(3e7) }] })

      assert.deepStrictEqual([status, body.errors?.[0]?.message], [413, "content too large"])
      assert.deepStrictEqual(ledger.entries, [])
    })
  )

  it.effect("refuses a wrong key and one without permission, and says what a key may do to whoever has one", () =>
    Effect.gen(function* () {
      const { ask, post } = yield* world({ scopes: ["messages.read"] })
      const scopes = HttpClientRequest.get(`${regions.global}/v3/scopes`)

      assert.deepStrictEqual(
        [(yield* ask(scopes, "SG.another")).status, (yield* post()).status, (yield* ask(scopes)).body as unknown],
        [401, 403, { scopes: ["messages.read"] }]
      )
    })
  )

  it.effect(
    "has a window for each endpoint, and tells what is left of it; sending has none unless it is given one",
    () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(Date.UTC(2026, 10, 21))
        const { ask, post } = yield* world({ rateLimit: 1, sendLimit: 2 })
        const free = yield* world()
        const read = ask(HttpClientRequest.get(`${regions.global}/v3/scopes`))
        const [first, second] = [yield* read, yield* read]
        const sends = [yield* post(), yield* post(), yield* post()]
        yield* TestClock.adjust("1 second")
        const later = yield* post()

        const left = ({ headers }: Seen) => headers["x-ratelimit-remaining"]
        assert.deepStrictEqual([first.status, left(first), second.status, left(second)], [200, "0", 429, "0"])
        assert.strictEqual(second.headers["x-ratelimit-reset"], String(Date.UTC(2026, 10, 21, 0, 1) / 1000))
        assert.deepStrictEqual(
          sends.map(({ status }) => status),
          [202, 202, 429]
        )
        assert.strictEqual(later.status, 202)
        assert.isUndefined(left(yield* free.post()))
      })
  )

  it.effect("has begun its work when it crashes, or has not", () =>
    Effect.gen(function* () {
      const plan = FaultPlan.script([Fault.crash(), Fault.crash({ processed: true })])
      const { ledger, post } = yield* world({}, plan)
      const statuses = [(yield* post()).status, (yield* post()).status]

      assert.deepStrictEqual(statuses, [500, 500])
      assert.strictEqual(ledger.ofKind("email.accepted").length, 1)
    })
  )
})
