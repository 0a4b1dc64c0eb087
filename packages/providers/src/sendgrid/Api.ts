/**
 * SendGrid's API as far as it is declared here: sending an e-mail, finding what became of it, and what the key may do.
 * @see https://github.com/twilio/sendgrid-oai (Twilio's OpenAPI documents, `tsg_mail_v3`, `tsg_email_activity_v3`, `tsg_scopes_v3`, read 2026-11-21)
 * @since 0.1.0
 */
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "@breakwater/core/PlatformApi"
import * as Resolution from "@breakwater/core/Resolution"
import * as Safety from "@breakwater/core/Safety"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { byCustomArg } from "./Activity.ts"
import { Accepted, Message, MessageId, SendMail, Validated, acceptedAs } from "./Model.ts"

/** 202 and the id in a header; the body is empty, and is not looked at. Without the id it is somebody else's answer. */
const AcceptedAnswer = Accepted.pipe(
  HttpApiSchema.encodeToWithHeaders(
    {
      body: HttpApiSchema.Empty(202),
      headers: { "x-message-id": MessageId }
    },
    {
      decode: ({ headers }) => Accepted.make({ messageId: headers["x-message-id"] }),
      encode: ({ messageId }) => ({ body: undefined, headers: { "x-message-id": messageId } })
    }
  )
)

/** 200 and nothing in it, which must be looked at: a proxy's page of status 200 is no word of SendGrid's. */
const ValidatedAnswer = Schema.Literal("").pipe(
  Schema.decodeTo(
    Validated,
    SchemaTransformation.transform({
      decode: () => Validated.make({}),
      encode: () => "" as const
    })
  ),
  HttpApiSchema.asText(),
  HttpApiSchema.status(200)
)

/** Which messages of the activity. @category schemas @since 0.1.0 */
export const ActivityParams = {
  /** What to look for, in SendGrid's language: `byCustomArg` writes it. */
  query: Schema.NonEmptyString,
  /** Messages at most, 1 to 1,000; there are no further pages. Default 10. */
  limit: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })))
}

const listMessages = HttpApiEndpoint.get("list", "/v3/messages", {
  query: ActivityParams,
  success: Schema.Struct({ messages: Schema.Array(Message) })
})

/** The custom argument that holds the key of a send (`Idempotency.once`): by it the e-mail is found in the activity. @category constants @since 0.1.0 */
export const reference = "reference"

const mail = HttpApiGroup.make("mail").add(
  // SendGrid has no idempotency keys: what is sent twice arrives twice.
  HttpApiEndpoint.post("send", "/v3/mail/send", {
    payload: SendMail,
    success: [AcceptedAnswer, ValidatedAnswer]
  }).pipe(
    Safety.unsafe,
    Resolution.lookup(listMessages, {
      reference: `custom_args.${reference}`,
      request: ({ key }) => ({ query: { query: byCustomArg(reference, key), limit: 1 } }),
      match: ({ messages: [first] }) =>
        first === undefined ? undefined : Accepted.make({ messageId: MessageId.make(acceptedAs(first)) }),
      // SendGrid does not say by how much its activity lags behind; an e-mail too late is better than one too many.
      settlesAfter: "15 minutes"
    })
  )
)

const messages = HttpApiGroup.make("messages").add(listMessages)

const scopes = HttpApiGroup.make("scopes").add(
  HttpApiEndpoint.get("list", "/v3/scopes", { success: Schema.Struct({ scopes: Schema.Array(Schema.String) }) })
)

/** The declaration: the client and the simulated SendGrid both come from it. @category declarations @since 0.1.0 */
export const api = HttpApi.make("sendgrid").add(mail, messages, scopes)
