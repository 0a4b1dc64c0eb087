/**
 * Makes text fit for logs, spans and errors: takes out the secrets in use, what looks like one, e-mail addresses and card numbers (AUTH-10,
 * SAFE-12, TEST-4). Everything that reaches an error of ours has passed through here. @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"

/** @category models @since 0.1.0 */
export interface Redaction {
  /** The text without secrets, at most `limit` characters (default 2,048). Controls and line ends become spaces. */
  readonly text: (text: string, limit?: number) => string
  /** The body of an answer: of JSON, the values of secret fields go too. */
  readonly body: (body: string) => string
}

/** @category models @since 0.1.0 */
export interface RedactionOptions {
  /** Secrets in use, removed wherever they stand, also in their percent-encoded form. Read at the time of use, so that a rotated key is known. */
  readonly secrets?: () => ReadonlyArray<Redacted.Redacted<string>>
  /** Names of JSON fields, form fields and query parameters whose values are taken out, beside the built-in ones; case does not matter. */
  readonly fields?: ReadonlyArray<string> | undefined
  /** What a secret of this provider looks like, such as `/sk_live_\w+/g`. */
  readonly patterns?: ReadonlyArray<RegExp> | undefined
}

/** Characters of a body that are kept in an error: 2 KiB. @category constants @since 0.1.0 */
export const excerptLimit = 2048

const mask = "<redacted>"

const secretFields = [
  "password",
  "passwd",
  "secret",
  "client_secret",
  "token",
  "access_token",
  "refresh_token",
  "id_token",
  "api_key",
  "apikey",
  "authorization",
  "card_number",
  "cvc",
  "cvv",
  "ssn",
  "email",
  "phone"
]

/** Bearer and Basic credentials, keys with a vendor's prefix, JSON web tokens, e-mail addresses. */
const shapes = [
  /\b(?:bearer|basic)\s+[\w.~+/=:-]{6,}/giu,
  /\b(?:sk|rk|pk|whsec|ghp|gho|ghs|xox[abp]|hvs|key)[-_][\w-]{6,}/gu,
  /\bAKIA[0-9A-Z]{12,}/gu,
  /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/gu,
  /[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+/gu
]

const cardNumber = /\b\d(?:[ -]?\d){12,18}\b/gu

/** The check digit of ISO/IEC 7812-1, so that an order number is not taken for a card. */
const passesLuhn = (digits: string): boolean => {
  let sum = 0
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[digits.length - 1 - index])
    const doubled = index % 2 === 0 ? digit : digit * 2
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

const maskCard = (found: string): string => (passesLuhn(found.replaceAll(/\D/gu, "")) ? mask : found)

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/gu, String.raw`\$&`)

/** @category constructors @since 0.1.0 */
export const make = (options: RedactionOptions = {}): Redaction => {
  const names = new Set([...secretFields, ...(options.fields ?? [])].map((name) => name.toLowerCase()))
  const patterns = [...shapes, ...(options.patterns ?? [])]
  const assigned = new RegExp(
    `(["']?\\b(?:${[...names].map(escaped).join("|")})["']?\\s*[=:]\\s*)("[^"]*"?|'[^']*'?|[^\\s&,;}]+)`,
    "giu"
  )

  const withoutSecrets = (text: string): string => {
    let clean = text
    for (const redacted of options.secrets?.() ?? []) {
      const secret = Redacted.value(redacted)
      if (secret.length < 4) continue
      clean = clean.replaceAll(secret, mask).replaceAll(encodeURIComponent(secret), mask)
    }
    for (const pattern of patterns) clean = clean.replaceAll(pattern, mask)
    return clean.replaceAll(assigned, `$1${mask}`).replaceAll(cardNumber, maskCard)
  }

  const text = (input: string, limit = excerptLimit): string => {
    // Cleaned with a margin before the cut, so that a secret on the edge is not halved beyond recognition.
    const clean = withoutSecrets(input.slice(0, limit + 512)).replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ")
    return clean.length > limit ? `${clean.slice(0, limit - 1)}…` : clean
  }

  const scrub = (value: unknown, depth: number): unknown => {
    if (depth > 8) return "…"
    if (Array.isArray(value)) return value.slice(0, 20).map((item) => scrub(item, depth + 1))
    if (!Predicate.isObject(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, names.has(name.toLowerCase()) ? mask : scrub(item, depth + 1)])
    )
  }

  const body = (input: string): string => {
    const parsed = input.length > excerptLimit * 16 ? undefined : parse(input)
    return text(parsed === undefined ? input : JSON.stringify(scrub(parsed, 0)))
  }

  return { text, body }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const codeOf = (u: unknown, depth = 0): string | undefined => {
  if (!Predicate.isObject(u) || depth > 4) return undefined
  const { cause, code } = u as { readonly code?: unknown; readonly cause?: unknown }
  return Predicate.isString(code) ? code : codeOf(cause, depth + 1)
}

/** The system's code of a failure, such as `ECONNRESET`, however deep a client hid it. @category accessors @since 0.1.0 */
export const failureCode = (failure: unknown): string | undefined => codeOf(failure)

/** The failure that the others wrap: a client's own message names the URL, the system's does not. */
const rootOf = (failure: Error, depth = 0): Error =>
  Predicate.isError(failure.cause) && depth < 4 ? rootOf(failure.cause, depth + 1) : failure

/**
 * A stand-in for a failure that is safe to keep as `cause`: the name, the code and the message of its root, without secrets, and nothing that the original
 * holds on to. @category constructors @since 0.1.0
 */
export const safeCause = (failure: unknown, redaction: Redaction): Error => {
  const root = rootOf(
    Predicate.isError(failure) ? failure : new Error(Predicate.isString(failure) ? failure : "not an Error")
  )
  const code = failureCode(failure)
  const named = code === undefined || root.message.includes(code) ? root.message : `${code}: ${root.message}`
  const safe = new Error(redaction.text(named, 512))
  safe.name = root.name
  safe.stack = `${safe.name}: ${safe.message}`
  return safe
}
