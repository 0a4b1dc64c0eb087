/**
 * The state of a simulated SendGrid account: the e-mails that it took, what became of each at its recipient, the activity by which they are found, and the ledger of what was sent.
 * Pure but for itself: time is given. @since 0.1.0
 */
import type { Message, SendMail } from "@breakwater/providers/sendgrid"
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import type { Ledger } from "../Ledger.ts"
import { Replica } from "../Replica.ts"
import * as ActivityQuery from "./ActivityQuery.ts"
import type { Fate } from "./Recipients.ts"
import * as Recipients from "./Recipients.ts"
import type { Refusal } from "./Refusal.ts"
import * as Refusals from "./Refusal.ts"

/**
 * One event as SendGrid's webhook tells it, your `custom_args` among its fields.
 * @see https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event (read 2026-11-21)
 * @category models
 * @since 0.1.0
 */
export interface EmailEvent {
  readonly event: "processed" | "delivered" | "bounce" | "dropped"
  readonly email: string
  /** Seconds since the epoch. */
  readonly timestamp: number
  /** Tells the event from all others, also when it is delivered twice. */
  readonly sg_event_id: string
  /** Begins with the `X-Message-Id` of the request. */
  readonly sg_message_id: string
  readonly "smtp-id": string
  readonly [field: string]: unknown
}

/** What became of a send. @category models @since 0.1.0 */
export type Sent =
  | { readonly _tag: "Accepted"; readonly messageId: string }
  /** Sandbox mode: nothing was done. */
  | { readonly _tag: "Validated" }

/** A message on its way to one recipient. */
interface Mail {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly subject: string
  readonly args: Readonly<Record<string, string>>
  readonly acceptedAt: number
  readonly endsAt: number
  readonly fate: Fate
}

type Personalization = SendMail["personalizations"][number]

/** @category models @since 0.1.0 */
export interface Options {
  readonly ledger: Ledger
  /** Milliseconds from when a message is accepted to its end. */
  readonly deliveryMillis: number
  /** Milliseconds by which the activity may lag behind. */
  readonly activityLagMillis: number
  /** Addresses that may be sent from; `undefined` for any. */
  readonly senders: ReadonlyArray<string> | undefined
}

const kinds = { Delivered: "email.delivered", Bounced: "email.bounced", Dropped: "email.dropped" } as const

const inSeconds = (millis: number): number => Math.floor(millis / 1000)

/** As `last_event_time` has it: without fractions. */
const isoOf = (millis: number): string => `${DateTime.formatIso(DateTime.makeUnsafe(millis)).slice(0, 19)}Z`

/** @category models @since 0.1.0 */
export class Account {
  private readonly options: Options
  private readonly activity: Replica<Mail>
  private readonly mails: Array<Mail> = []
  private accepted = 0

  constructor(options: Options) {
    this.options = options
    this.activity = new Replica({ name: "sendgrid activity", lag: options.activityLagMillis })
  }

  send(payload: SendMail, now: number): Result.Result<Sent, Refusal> {
    const { senders } = this.options
    if (senders !== undefined && !senders.includes(payload.from.email)) return Result.fail(Refusals.unverified)
    if (payload.mail_settings?.sandbox_mode?.enable === true) return Result.succeed({ _tag: "Validated" })
    // As long as SendGrid's: 22 characters.
    const messageId = `Sim${(this.accepted++).toString(36).padStart(19, "0")}`
    this.options.ledger.record({
      at: now,
      operation: "mail.send",
      kind: "email.accepted",
      ids: { message: messageId },
      metadata: payload.custom_args ?? payload.personalizations[0].custom_args ?? {}
    })
    let index = 0
    for (const personalization of payload.personalizations) {
      const { bcc = [], cc = [], to } = personalization
      for (const { email } of [...to, ...cc, ...bcc])
        this.keep(mailOf(payload, personalization, email, `${messageId}.recvd-simulated-1.${index++}`), now)
    }
    return Result.succeed({ _tag: "Accepted", messageId })
  }

  /** The newest first. */
  find(
    query: string,
    limit: number,
    now: number
  ): Result.Result<{ readonly messages: ReadonlyArray<Message> }, Refusal> {
    const test = ActivityQuery.parse(query)
    if (Result.isFailure(test)) return Result.fail(Refusals.badQuery(test.failure))
    const found = this.activity
      .values(now)
      .filter((mail) => test.success(messageOf(mail, now), mail.args))
      .toReversed()
    return Result.succeed({ messages: found.slice(0, limit).map((mail) => messageOf(mail, now)) })
  }

  /** What the webhook has told by now, the oldest first. */
  events(now: number): ReadonlyArray<EmailEvent> {
    return this.mails
      .flatMap(eventsOf)
      .filter(({ at }) => at <= now)
      .toSorted((a, b) => a.at - b.at)
      .map(({ event }) => event)
  }

  private keep(unsent: Pick<Mail, "id" | "from" | "to" | "subject" | "args">, now: number): void {
    const fate = Recipients.fateOf(unsent.to)
    const endsAt = fate._tag === "Dropped" ? now : now + this.options.deliveryMillis
    const mail: Mail = { ...unsent, acceptedAt: now, endsAt, fate }
    this.mails.push(mail)
    this.activity.set(mail.id, mail, now)
    // What becomes of it is settled when it is taken: nobody can call an e-mail back. The entry bears the time at which it happens.
    this.options.ledger.record({
      at: endsAt,
      operation: "mail.send",
      kind: kinds[fate._tag],
      ids: { message: mail.id },
      metadata: mail.args
    })
  }
}

const mailOf = (payload: SendMail, personalization: Personalization, to: string, id: string) => ({
  id,
  to,
  from: payload.from.email,
  subject: personalization.subject ?? payload.subject ?? "",
  args: { ...payload.custom_args, ...personalization.custom_args }
})

const messageOf = ({ acceptedAt, endsAt, fate, from, id, subject, to }: Mail, now: number): Message => {
  const isOver = endsAt <= now
  const end = fate._tag === "Delivered" ? "delivered" : "not_delivered"
  return {
    msg_id: id,
    from_email: from,
    to_email: to,
    subject,
    status: isOver ? end : "processed",
    last_event_time: isoOf(isOver ? endsAt : acceptedAt)
  }
}

const ends = (fate: Fate) => {
  switch (fate._tag) {
    case "Delivered":
      return { event: "delivered", response: fate.response } as const
    case "Bounced":
      return { event: "bounce", type: fate.type, reason: fate.reason, status: fate.status } as const
    case "Dropped":
      return { event: "dropped", reason: fate.reason } as const
  }
}

const eventsOf = ({ acceptedAt, args, endsAt, fate, id, to }: Mail) => {
  const event = <Told extends Pick<EmailEvent, "event">>(
    at: number,
    told: Told
  ): { at: number; event: EmailEvent } => ({
    at,
    event: {
      ...args,
      ...told,
      email: to,
      timestamp: inSeconds(at),
      sg_event_id: `${told.event}-${id}`,
      sg_message_id: id,
      "smtp-id": `<${id.split(".", 1)[0] ?? id}@simulated>`
    }
  })
  const end = event(endsAt, ends(fate))
  return fate._tag === "Dropped" ? [end] : [event(acceptedAt, { event: "processed" as const }), end]
}
