/**
 * E-mails by a provider that has no idempotency keys (SYS-4): what is certainly not sent is sent again, and what is in doubt is looked up first, so that none is lost and none is sent twice.
 * Teaches how to settle an `OutcomeUnknown`. Run it: `node examples/05-mail.ts`. No network.
 */
import { CallPolicy, Operation } from "@breakwater/core"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Fault, FaultPlan, SimulatedNetwork, SimulatedSendGrid } from "@breakwater/testkit"
import { Effect, Layer, Redacted } from "effect"
import { deliver } from "./mail/Mail.ts"
import * as SendGridMail from "./mail/SendGridMail.ts"

// 1. What holds for a send: connect 1 s, silence 3 s, and three retries where nothing was done.
process.stdout.write(`${CallPolicy.explain(Operation.of(SendGrid.provider, "mail.send"))}\n\n`)

// 2. The app's own service over the provider. The pauses are those of a demonstration; an app waits for minutes.
const MailLive = SendGridMail.layer({
  from: { email: "shop@shop.example", name: "Shop" },
  settlesAfter: "300 millis",
  pause: "100 millis"
})
const SendGridLive = SendGrid.layer({
  credential: Redacted.make(SimulatedSendGrid.defaultApiKey),
  environment: "production" // in the sandbox, which is the default, e-mails are checked and not sent
})

// 3. Whatever strikes the first request, the customer has one e-mail.
const email = {
  reference: "order/8731/confirmation",
  to: "ada@customer.example",
  subject: "Your order",
  text: "It is on its way."
}
const { lostResponse, none, rateLimited, refused, resetBefore, status } = Fault
for (const fault of [
  none,
  refused,
  rateLimited(),
  resetBefore,
  lostResponse,
  status(503),
  status(500, { processed: true })
]) {
  const sent = Effect.gen(function* () {
    const sendgrid = yield* SimulatedSendGrid.make({ activityLag: "100 millis" })
    const network = SimulatedNetwork.layer([sendgrid], { plan: FaultPlan.script([fault]) })
    yield* Effect.provide(deliver(email), Layer.provide(MailLive, Layer.provide(SendGridLive, network)))
    const asked = sendgrid.ledger.exchanges.filter(({ operation }) => operation === "messages.list").length
    const accepted = sendgrid.ledger.ofKind("email.accepted").length
    process.stdout.write(`${fault.name}: ${accepted} e-mail, ${asked === 0 ? "never" : "once"} in doubt\n`)
  })
  await Effect.runPromise(Effect.scoped(sent))
}
