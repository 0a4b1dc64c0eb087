/**
 * Secrets planted in everything that is sent and comes back, and a search for them.
 */
import { Idempotency } from "@breakwater/core"
import { Effect } from "effect"
import { HttpClientError } from "effect/http"
import * as Acme from "./Acme.ts"
import * as Fake from "./FakeTransport.ts"

/** Each is found nowhere but on the wire. None looks like a secret by its shape. */
export const planted = {
  key: "PLANTED0key",
  path: "PLANTED1path",
  query: "PLANTED2query",
  header: "PLANTED3header",
  body: "PLANTED4body",
  password: "PLANTED5password",
  field: "PLANTED6field",
  transport: "PLANTED7transport",
  declared: "PLANTED8declared",
  cookie: "PLANTED9cookie"
} as const

const email = "jane.doe@example.com"
const card = "4242 4242 4242 4242"

/** What comes back: the fields that are known to be secret, and an echo of the key. */
export const told = {
  error: { code: "odd", message: `no such key: ${planted.key}`, password: planted.password, iban: planted.field },
  client_secret: planted.password,
  owner: email,
  card
}

export const provider = Acme.variant({ redaction: { fields: ["IBAN"] } })

export const found = (text: string): ReadonlyArray<string> =>
  [...Object.values(planted), email, card, card.replaceAll(" ", "")].filter((secret) => text.includes(secret))

/** A call with a secret in everything that it sends. */
export const calls = {
  get: (acme: Acme.AcmeClient) => acme.orders.get({ params: { id: planted.path } }),
  find: (acme: Acme.AcmeClient) =>
    acme.orders.find({ query: { q: planted.query }, headers: { "x-note": planted.header } }),
  create: (acme: Acme.AcmeClient) =>
    acme.orders.create({ payload: { amount: 1, note: planted.body } }).pipe(Idempotency.withKey("order/1")),
  capture: (acme: Acme.AcmeClient) => acme.orders.capture({ params: { id: planted.path }, payload: { amount: 1 } })
} as const

export const transportError: Fake.Step = (request) =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({
        request,
        description: `sending ${request.url} with ${planted.key}`,
        cause: Fake.systemError("ECONNRESET", `password=${planted.password} while talking to ${email}`)
      })
    })
  )

export const answers: ReadonlyArray<readonly [string, Fake.Step]> = [
  ["a success", Fake.json({ id: "o1", amount: 1, password: planted.password })],
  ["400", Fake.json(told, 400)],
  ["401", Fake.json(told, 401, { "www-authenticate": `Bearer realm="${planted.key}"` })],
  [
    "404 as text",
    Fake.text(`password=${planted.password}&iban: ${planted.field}, ${email}, ${card}, ${planted.key}`, 404)
  ],
  ["503", Fake.json(told, 503, { "set-cookie": `session=${planted.cookie}` })],
  ["HTML", Fake.text(`<p>token: "${planted.password}"</p> ${planted.key}`, 502)],
  ["malformed JSON", Fake.text(`{"password":"${planted.password}","iban":"${planted.field}`)],
  ["drift", Fake.json({ id: "o1", amount: "none", password: planted.password })],
  ["a declared error", Fake.json({ _tag: "Declined", code: "no_funds", password: planted.declared }, 402)],
  ["a request id with the key", Fake.json({}, 500, { "acme-request-id": `req ${planted.key}` })],
  ["a code with the key", Fake.json({ error: { code: planted.key } }, 400)],
  ["a redirect with the key", Fake.empty(302, { location: `https://evil.test/?key=${planted.key}` })],
  ["a reset", Fake.broken("ECONNRESET", `reset by peer, token=${planted.password}`)],
  ["a failure of the transport that says too much", transportError],
  ["a body that is cut", Fake.chunks([`{"password":"${planted.password}"`, { code: "ECONNRESET" }])],
  ["a silence", Fake.silent]
]
