/**
 * SendGrid's query language, as much of it as looks for messages: comparisons by `=`, joined by `AND`.
 * @see https://www.twilio.com/docs/sendgrid/for-developers/sending-email/getting-started-email-activity-api (read 2026-11-21)
 * @since 0.1.0
 */
import type { Message } from "@breakwater/providers/sendgrid"
import * as Result from "effect/Result"

const fields = ["msg_id", "from_email", "to_email", "subject", "status"] as const

type Field = (typeof fields)[number]

const isField = (name: string): name is Field => fields.some((field) => field === name)

const comparison =
  /\s*(?<open>\()?\s*(?:unique_args\[(?:'(?<single>(?:\\.|[^'\\])*)'|"(?<double>(?:\\.|[^"\\])*)")\]|(?<field>\w+))\s*=\s*(?:"(?<value>(?:\\.|[^"\\])*)"|'(?<quoted>(?:\\.|[^'\\])*)')\s*(?<close>\))?\s*(?<next>AND\b|$)/uy

const unescaped = (text: string): string => text.replaceAll(/\\(.)/gsu, "$1")

type Test = (message: Message, args: Readonly<Record<string, string>>) => boolean

const testOf = (groups: Readonly<Record<string, string | undefined>>): Result.Result<Test, string> => {
  const value = unescaped(groups["value"] ?? groups["quoted"] ?? "")
  const { field } = groups
  if (field === undefined) {
    const name = unescaped(groups["single"] ?? groups["double"] ?? "")
    return Result.succeed((_, args) => Object.hasOwn(args, name) && args[name] === value)
  }
  return isField(field)
    ? Result.succeed((message) => message[field] === value)
    : Result.fail(`invalid syntax: '${field}' is not a known field`)
}

/** What a query looks for, or what is wrong with it, in SendGrid's words. @category parsing @since 0.1.0 */
export const parse = (query: string): Result.Result<Test, string> => {
  const tests: Array<Test> = []
  comparison.lastIndex = 0
  for (;;) {
    const from = comparison.lastIndex
    const groups = comparison.exec(query)?.groups
    if (groups === undefined || (groups["open"] === undefined) !== (groups["close"] === undefined))
      return Result.fail(`error parsing input at line 1, position ${from + 1}: syntax error`)
    const test = testOf(groups)
    if (Result.isFailure(test)) return Result.fail(test.failure)
    tests.push(test.success)
    if (groups["next"] !== "AND") return Result.succeed((message, args) => tests.every((each) => each(message, args)))
  }
}
