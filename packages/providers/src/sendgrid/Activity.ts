/**
 * The query language of SendGrid's Email Activity, as far as an e-mail is looked for by it.
 * @see https://www.twilio.com/docs/sendgrid/for-developers/sending-email/getting-started-email-activity-api (read 2026-11-21)
 * @since 0.1.0
 */

const escaped = (text: string, delimiter: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll(delimiter, `\\${delimiter}`)

/**
 * The messages that carry this value in `custom_args`, which the activity calls unique arguments: `(unique_args['order']="7")`.
 * @category constructors
 * @since 0.1.0
 */
export const byCustomArg = (name: string, value: string): string =>
  `(unique_args['${escaped(name, "'")}']="${escaped(value, '"')}")`
