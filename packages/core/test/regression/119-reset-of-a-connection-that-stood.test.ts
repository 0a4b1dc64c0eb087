import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientError } from "effect/http"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const failing =
  (code: string, syscall: string): Fake.Step =>
  (request) => {
    const cause = Object.assign(Fake.systemError(code), { syscall })
    return Effect.fail(
      new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
    )
  }

const captured = Effect.fnUntraced(function* (step: Fake.Step) {
  const transport = Fake.make([step, Fake.json({ id: "o1", amount: 1 })])
  const acme = yield* Acme.connect(transport)
  const { outcome } = yield* run(acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } }))
  return { outcome, attempts: transport.sent.length }
})

describe("a host that cannot be reached", () => {
  it.effect("while connecting: nothing was sent, so that an unsafe write is sent again", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* captured(failing("EHOSTUNREACH", "connect")), {
          outcome: { value: { id: "o1", amount: 1 } },
          attempts: 2
        })
      })
    )
  )

  it.effect.each(["read", "write"])(
    "in a %s on a connection that stood: the write may have been carried out",
    (syscall) =>
      inScenario(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* captured(failing("EHOSTUNREACH", syscall)), {
            outcome: {
              class: "OutcomeUnknown",
              attempts: 1,
              reason: { _tag: "TransportFailed", code: "EHOSTUNREACH" },
              firstSentAt: 0
            },
            attempts: 1
          })
        })
      )
  )

  it.effect("with a cause that goes round in circles is still told apart", () =>
    inScenario(
      Effect.gen(function* () {
        const circle: { code: string; cause?: unknown } = { code: "ENOTFOUND" }
        circle.cause = circle
        const step: Fake.Step = (request) =>
          Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({ request, cause: circle })
            })
          )

        assert.deepStrictEqual(yield* captured(step), { outcome: { value: { id: "o1", amount: 1 } }, attempts: 2 })
      })
    )
  )

  it.effect("a TLS record that is damaged comes after the handshake: the write may have been carried out", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome } = yield* captured(Fake.broken("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC"))

        assert.deepStrictEqual(outcome, {
          class: "OutcomeUnknown",
          attempts: 1,
          reason: { _tag: "TransportFailed", code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC" },
          firstSentAt: 0
        })
      })
    )
  )
})
