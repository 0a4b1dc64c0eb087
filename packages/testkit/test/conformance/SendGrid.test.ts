/** SendGrid's declaration and its simulation, under every fault: once as it sends, once as it only checks. */
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { SendGrid, byCustomArg } from "@breakwater/providers/sendgrid"
import { Conformance, SimulatedSendGrid } from "@breakwater/testkit"

const credential = Redacted.make(SimulatedSendGrid.defaultApiKey)

/** Everything in it that is about the customer must not be seen in an error. */
const payload = {
  personalizations: [{ to: [{ email: "ada@customer.example", name: "Ada Lovelace" }] }],
  from: { email: "shop@shop.example", name: "Breakwater Shop" },
  subject: "Your order of a pier",
  content: [{ type: "text/plain", value: 'Dear Ada,\nyour "pier" is on its way.' }],
  custom_args: { order: "8731" }
} as const

const secrets = [
  "ada@customer.example",
  "shop@shop.example",
  "Ada Lovelace",
  "Breakwater Shop",
  "of a pier",
  "Dear Ada",
  "on its way"
]

const cases = 3 * (1 + Conformance.faults.length + 2 + 1)

describe("SendGrid", () => {
  Conformance.suite(it, {
    provider: SendGrid.provider,
    service: SendGrid,
    layer: SendGrid.layer({ credential, environment: "production" }),
    simulated: SimulatedSendGrid.make(),
    operations: {
      "mail.send": { request: { payload }, counts: "email.accepted", secrets },
      "messages.list": { request: { query: { query: byCustomArg("order", "8731") } } }
    },
    onReport: (report) => {
      assert.strictEqual(report.cases.length, cases)
      assert.deepStrictEqual(report.violations, [])
      assert.deepStrictEqual(report.notExercised, [])
    }
  })
})

describe("SendGrid in the sandbox", () => {
  Conformance.suite(it, {
    provider: SendGrid.provider,
    service: SendGrid,
    layer: SendGrid.layer({ credential }),
    simulated: SimulatedSendGrid.make(),
    operations: {
      "mail.send": { request: { payload }, counts: "nothing", secrets },
      "messages.list": { request: { query: { query: byCustomArg("order", "8731") } } }
    },
    onReport: (report) => {
      assert.strictEqual(report.cases.length, cases)
      assert.deepStrictEqual(report.violations, [])
    }
  })
})
