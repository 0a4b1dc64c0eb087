/**
 * What the shop means by sending an e-mail, in its own words: no vendor's type in sight. Providers are swapped by swapping the layer (SAFE-15, SYS-4).
 */
import { Context, Data, type Duration, Effect } from "effect"

export interface Email {
  /** The shop's own name for this one e-mail, such as `order/8731/confirmation`: by it an e-mail is found again. Nothing personal. */
  readonly reference: string
  readonly to: string
  readonly subject: string
  readonly text: string
}

/** It was not sent, and never will be as it is. */
export class Refused extends Data.TaggedError("Refused")<{ readonly reason: string }> {}

/** Not now, and nothing was done: try again after this long. */
export class Postponed extends Data.TaggedError("Postponed")<{ readonly after: Duration.Duration }> {}

/** It may have been sent. Ask `wasSent` after this long, not before, and send again only if it was not. */
export class InDoubt extends Data.TaggedError("InDoubt")<{ readonly askAfter: Duration.Duration }> {}

export class Mail extends Context.Service<
  Mail,
  {
    /** Sends an e-mail, once: it never sends again what may have been sent. */
    readonly send: (email: Email) => Effect.Effect<void, Refused | Postponed | InDoubt>
    /** What became of an e-mail in doubt. */
    readonly wasSent: (email: Email) => Effect.Effect<boolean, Postponed>
  }
>()("@breakwater/examples/mail/Mail") {}

/** Sends an e-mail until it is sent or refused, and looks before it sends again. */
export const deliver = Effect.fnUntraced(function* (email: Email) {
  const mail = yield* Mail
  for (;;) {
    const outcome = yield* mail.send(email).pipe(
      Effect.as("sent" as const),
      Effect.catchTags({
        Postponed: ({ after }) => Effect.as(Effect.sleep(after), "again" as const),
        InDoubt: ({ askAfter }) => Effect.andThen(Effect.sleep(askAfter), settled(email))
      })
    )
    if (outcome === "sent") return
  }
})

/** Asks until there is an answer: as long as there is none, nothing may be sent. */
const settled = Effect.fnUntraced(function* (email: Email) {
  const mail = yield* Mail
  for (;;) {
    const answer = yield* mail.wasSent(email).pipe(
      Effect.map((sent) => (sent ? ("sent" as const) : ("again" as const))),
      Effect.catchTag("Postponed", ({ after }) => Effect.as(Effect.sleep(after), "ask again" as const))
    )
    if (answer !== "ask again") return answer
  }
})
