/**
 * What is sent to SendGrid and what it tells of it, as far as one e-mail to a customer needs it, under SendGrid's own names. Fields that SendGrid adds are ignored.
 * @see https://github.com/twilio/sendgrid-oai (Twilio's OpenAPI documents, `tsg_mail_v3`, `tsg_email_activity_v3`, read 2026-11-21)
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * SendGrid's id of an accepted request, from `X-Message-Id`: what the ids of its messages begin with. Quote it to SendGrid's support.
 * @see https://sendgrid.com/docs/glossary/x-message-id/ (read 2026-11-21)
 * @category schemas
 * @since 0.1.0
 */
export const MessageId = Schema.String.check(
  Schema.isPattern(/^[\w.-]{1,255}$/u, { expected: "an id of SendGrid's" })
).pipe(Schema.brand("MessageId"))

/** SendGrid's id of an accepted request. @category models @since 0.1.0 */
export type MessageId = typeof MessageId.Type

const Address = Schema.String.check(
  Schema.isPattern(/^[^\s@<>,;]{1,64}@[^\s@<>,;]{1,255}$/u, { expected: "an e-mail address" })
)

/** Recipients' names may have neither `;` nor `,` in them: https://docs.sendgrid.com/api-reference/mail-send/limitations (read 2026-11-21). */
const RecipientName = Schema.String.check(Schema.isPattern(/^[^;,]*$/u, { expected: "a name without ; and ," }))

/** From whom. SendGrid takes only addresses that were verified there. @category schemas @since 0.1.0 */
export const Sender = Schema.Struct({ email: Address, name: Schema.optional(Schema.String) })

/** @category schemas @since 0.1.0 */
export const Recipient = Schema.Struct({ email: Address, name: Schema.optional(RecipientName) })

const bytesOf = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).length

/**
 * Your own names and values, which travel with the e-mail into SendGrid's records and events, less than 10,000 bytes of them. Put a reference of your own here, such as the
 * id of the order: it is how an e-mail is found again. Nothing personal, since SendGrid keeps them without end.
 * @see https://www.twilio.com/docs/sendgrid/for-developers/sending-email/unique-arguments (read 2026-11-21)
 * @category schemas
 * @since 0.1.0
 */
export const CustomArgs = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((args) => {
    if (bytesOf(args) >= 10_000) return "custom arguments of less than 10,000 bytes"
    // Half of a surrogate pair cannot be asked for in a query, so that the e-mail would never be found again.
    return Object.entries(args)
      .flat()
      .every((text) => !/\p{Surrogate}/u.test(text))
      ? undefined
      : "well-formed texts"
  })
)

/** The most recipients of one request, copies included. @category constants @since 0.1.0 */
export const maxRecipients = 1000

interface Addressed {
  readonly to: ReadonlyArray<{ readonly email: string }>
  readonly cc?: ReadonlyArray<{ readonly email: string }> | undefined
  readonly bcc?: ReadonlyArray<{ readonly email: string }> | undefined
}

/** Everybody that a personalization is for. */
const recipientsOf = ({ bcc = [], cc = [], to }: Addressed): ReadonlyArray<{ readonly email: string }> => [
  ...to,
  ...cc,
  ...bcc
]

/** No address may come twice: https://support.sendgrid.com/hc/en-us/articles/34677918767131 (read 2026-11-21). */
const repeatsNobody = (personalization: Addressed): Schema.FilterOutput => {
  const addresses = recipientsOf(personalization).map(({ email }) => email.toLowerCase())
  return new Set(addresses).size === addresses.length
    ? undefined
    : { path: ["to"], issue: "addresses that differ, between to, cc and bcc" }
}

/** One e-mail of a request: whom it is for, and what is different from the others. @category schemas @since 0.1.0 */
export const Personalization = Schema.Struct({
  to: Schema.NonEmptyArray(Recipient),
  cc: Schema.optional(Schema.Array(Recipient)),
  bcc: Schema.optional(Schema.Array(Recipient)),
  subject: Schema.optional(Schema.NonEmptyString),
  /** What the template is filled with, for a `template_id` that begins with `d-`. */
  dynamic_template_data: Schema.optional(Schema.Record(Schema.String, Schema.Unknown)),
  /** Over those of the request, name by name. */
  custom_args: Schema.optional(CustomArgs)
}).check(Schema.makeFilter(repeatsNobody))

/** The text in one format. `text/plain` comes before `text/html`. @category schemas @since 0.1.0 */
export const Content = Schema.Struct({ type: Schema.NonEmptyString, value: Schema.NonEmptyString })

/** @category schemas @since 0.1.0 */
export const Attachment = Schema.Struct({
  /** In Base64. */
  content: Schema.NonEmptyString,
  filename: Schema.NonEmptyString,
  /** Such as `application/pdf`. */
  type: Schema.optional(Schema.NonEmptyString),
  disposition: Schema.optional(Schema.Literals(["inline", "attachment"])),
  content_id: Schema.optional(Schema.String)
})

const fields = {
  personalizations: Schema.NonEmptyArray(Personalization).check(Schema.isMaxLength(maxRecipients)),
  from: Sender,
  reply_to: Schema.optional(Sender),
  subject: Schema.optional(Schema.NonEmptyString),
  content: Schema.optional(Schema.NonEmptyArray(Content)),
  attachments: Schema.optional(Schema.Array(Attachment)),
  /** Brings a subject and content of its own. */
  template_id: Schema.optional(Schema.NonEmptyString),
  /** General groups, at most 10; what tells one e-mail from another belongs in `custom_args`. */
  categories: Schema.optional(Schema.Array(Schema.String.check(Schema.isMaxLength(255))).check(Schema.isMaxLength(10))),
  custom_args: Schema.optional(CustomArgs),
  mail_settings: Schema.optional(
    Schema.Struct({
      /** Checks the request and sends nothing. Set by `SendGrid.layer` in the sandbox. */
      sandbox_mode: Schema.optional(Schema.Struct({ enable: Schema.Boolean }))
    })
  )
}

type Unchecked = Schema.Schema.Type<Schema.Struct<typeof fields>>

const problemOf = (mail: Unchecked): Schema.FilterOutput => {
  const recipients = mail.personalizations.reduce((count, each) => count + recipientsOf(each).length, 0)
  if (recipients > maxRecipients) return { path: ["personalizations"], issue: `at most ${maxRecipients} recipients` }
  if (mail.template_id !== undefined) return undefined
  if (mail.content === undefined) return { path: ["content"], issue: "content, or a template_id" }
  return mail.subject === undefined && mail.personalizations.some(({ subject }) => subject === undefined)
    ? { path: ["subject"], issue: "a subject, a template_id, or a subject in each personalization" }
    : undefined
}

/** An e-mail, or up to 1,000 of one kind. @category schemas @since 0.1.0 */
export const SendMail = Schema.Struct(fields).check(Schema.makeFilter(problemOf))

/** An e-mail, or up to 1,000 of one kind. @category models @since 0.1.0 */
export type SendMail = typeof SendMail.Type

/** SendGrid has the e-mail and will try to deliver it; what becomes of it, its events tell. @category schemas @since 0.1.0 */
export const Accepted = Schema.TaggedStruct("Accepted", { messageId: MessageId })

/** SendGrid has checked the request, in sandbox mode: nothing was sent, and nothing is recorded. @category schemas @since 0.1.0 */
export const Validated = Schema.TaggedStruct("Validated", {})

/** One message to one recipient, in the activity. @category schemas @since 0.1.0 */
export const Message = Schema.Struct({
  /** Begins with the `MessageId` of the request: `acceptedAs` gives it. */
  msg_id: Schema.String,
  from_email: Schema.String,
  to_email: Schema.String,
  subject: Schema.String,
  /** `processed`, `delivered` or `not_delivered`; open, since SendGrid adds to it. */
  status: Schema.String,
  /** ISO 8601, in UTC. */
  last_event_time: Schema.String
})

/** One message to one recipient, in the activity. @category models @since 0.1.0 */
export interface Message extends Schema.Schema.Type<typeof Message> {}

/** The id of the request that a message came of: what its own id has before the first dot. @category accessors @since 0.1.0 */
export const acceptedAs = ({ msg_id }: Pick<Message, "msg_id">): string => msg_id.split(".", 1)[0] ?? msg_id
