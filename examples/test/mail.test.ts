/** What the shop's `Mail` promises, under every plan of at most two faults: judged by what SendGrid really accepted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Fault, FaultMenu, Hint, Mode, SimulatedNetwork, SimulatedSendGrid, Simulation } from "@breakwater/testkit"
import { Mail, deliver } from "../mail/Mail.ts"
import * as SendGridMail from "../mail/SendGridMail.ts"

/** What may go wrong with an exchange, sends and look-ups alike. */
const faults = [
  Fault.latency("12 seconds"),
  Fault.refused,
  Fault.dns(),
  Fault.connectBlackhole(),
  Fault.resetBefore,
  Fault.lostResponse,
  Fault.blackhole(),
  Fault.blackhole({ processed: true }),
  Fault.silence,
  Fault.truncated(),
  Fault.garbage,
  Fault.html(),
  Fault.html(502),
  Fault.emptyBody,
  Fault.status(503),
  Fault.status(500, { processed: true }),
  Fault.rateLimited(),
  Fault.rateLimited(Hint.xRateLimit({ resetSeconds: 5 })),
  Fault.crash(),
  Fault.crash({ processed: true })
]

const orders = ["o1", "o2", "o3"]

interface World {
  readonly sendgrid: SimulatedSendGrid.SimulatedSendGrid
  readonly told: Map<string, string>
  readonly doubts: Map<string, number>
}

/** Counts the doubts, and answers in place of the look-up where a shop does not look. */
const watched = (doubts: Map<string, number>, answer: boolean | undefined) => (mail: typeof Mail.Service) =>
  Mail.of({
    send: (email) =>
      Effect.tapErrorTag(mail.send(email), "InDoubt", () =>
        Effect.sync(() => doubts.set(email.reference, (doubts.get(email.reference) ?? 0) + 1))
      ),
    wasSent: (email) =>
      Effect.andThen(
        Simulation.sometimes("an e-mail in doubt is looked for"),
        answer === undefined ? mail.wasSent(email) : Effect.succeed(answer)
      )
  })

interface Shop {
  readonly settlesAfter: "1 second" | "10 minutes"
  /** What it takes for an answer without looking. Default: it looks. */
  readonly believes?: boolean
  readonly invariant: (world: World) => string | undefined
}

const world = Effect.map(SimulatedSendGrid.make({ activityLag: "1 minute" }), (sendgrid): World => ({
  sendgrid,
  told: new Map(),
  doubts: new Map()
}))

const selling = ({ believes, invariant, settlesAfter }: Shop) =>
  Simulation.make({
    name: "mail",
    world,
    program: ({ doubts, sendgrid, told }) => {
      const network = SimulatedNetwork.layer([sendgrid], { plan: FaultMenu.make(faults) })
      const live = SendGrid.layer({
        credential: Redacted.make(SimulatedSendGrid.defaultApiKey),
        environment: "production"
      })
      const from = { email: "shop@shop.example", name: "Shop" }
      const mail = SendGridMail.layer({ from, settlesAfter, pause: "1 second" }).pipe(
        Layer.provide(Layer.provide(live, network))
      )
      const counted = Layer.effect(Mail, Effect.map(Mail, watched(doubts, believes))).pipe(Layer.provide(mail))
      const confirm = (order: string) =>
        deliver({ reference: order, to: `${order}@customer.example`, subject: "Your order", text: "Thank you." }).pipe(
          Effect.match({ onSuccess: () => "sent", onFailure: ({ reason }) => `refused: ${reason}` }),
          Effect.map((word) => told.set(order, word))
        )
      return Effect.provide(Effect.forEach(orders, confirm, { concurrency: "unbounded", discard: true }), counted)
    },
    invariant: ({ world }) => invariant(world),
    sometimes: { "an e-mail in doubt is looked for": Simulation.marked },
    timeline: ({ sendgrid }) => ({
      ledger: sendgrid.ledger.entries.map(({ at, kind, metadata }) => ({
        at,
        text: `${kind} ${metadata["reference"] ?? ""}`
      }))
    })
  })

const acceptedFor = ({ sendgrid }: World, order: string): number =>
  sendgrid.ledger.ofKind("email.accepted").filter(({ metadata }) => metadata["reference"] === order).length

/** None is lost, and none is sent more often than `most` says. */
const keeps =
  (most: (world: World, order: string) => number) =>
  (world: World): string | undefined => {
    for (const order of orders) {
      const word = world.told.get(order) ?? "nothing"
      const accepted = acceptedFor(world, order)
      if (word !== "sent") return `the shop was told ${word} of ${order}`
      if (accepted === 0) return `the e-mail of ${order} was lost`
      if (accepted > most(world, order)) return `${order} was sent ${accepted} e-mails`
    }
    return undefined
  }

const one = keeps(() => 1)
const oneMoreForEachDoubt = keeps(({ doubts }, order) => 1 + (doubts.get(order) ?? 0))

/** Proves a case, and says how large the proof was. */
const proved = (name: string, shop: Shop, mode: Mode.Mode) => {
  const outcome = Simulation.verify(selling(shop), mode)
  process.stdout.write(`mail, ${name}: ${Simulation.summary(outcome)}\n`)
  return outcome
}

const found = (shop: Shop, deviations = 1) => {
  const [failure] = Simulation.check(selling(shop), Mode.exhaustive({ deviations })).failures
  return [failure?.message, failure?.plan?.decisions.map(({ choice }) => choice)]
}

const twoFaults = Mode.exhaustive({ deviations: 2, preemption: "wakeups" })

describe("three e-mails sent at once (SYS-4)", () => {
  it("knows at least 18 kinds of fault", () => {
    assert.isAtLeast(new Set(faults.map(({ name }) => name)).size, 18)
  })

  it("are sent once each, under any two decisions, by a shop that looks late enough", () => {
    const outcome = proved("looks late", { settlesAfter: "10 minutes", invariant: one }, twoFaults)

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 2000)
  }, 120_000)

  it("are sent at most once more for each doubt, and none is lost, by a shop that looks too early", () => {
    const outcome = proved("looks early", { settlesAfter: "1 second", invariant: oneMoreForEachDoubt }, twoFaults)

    assert.isTrue(outcome.exhausted)
    assert.isAbove(outcome.plans, 2000)
    assert.deepStrictEqual(found({ settlesAfter: "1 second", invariant: one }, 2), [
      "o1 was sent 2 e-mails",
      ["latency 12000 ms", "behind"]
    ])
  }, 120_000)
})

describe("a shop that does not look", () => {
  it("sends twice, if it takes a doubt for a no", () => {
    assert.deepStrictEqual(found({ settlesAfter: "10 minutes", believes: false, invariant: one }), [
      "o1 was sent 2 e-mails",
      ["latency 12000 ms"]
    ])
  }, 60_000)

  it("loses e-mails, if it takes a doubt for a yes", () => {
    assert.deepStrictEqual(found({ settlesAfter: "10 minutes", believes: true, invariant: one }), [
      "the e-mail of o1 was lost",
      ["reset before"]
    ])
  }, 60_000)
})
