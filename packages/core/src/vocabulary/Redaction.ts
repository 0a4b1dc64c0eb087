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
  /** Secrets in use, removed wherever they stand, also percent-encoded or escaped. Read at the time of use, so that a rotated key is known. */
  readonly secrets?: () => ReadonlyArray<Redacted.Redacted<string>>
  /**
   * Names of JSON fields, form fields and query parameters whose values are taken out, beside the built-in ones. `customer_id` takes in `customerId`, `CUSTOMER-ID`
   * and every longer name that ends so.
   */
  readonly fields?: ReadonlyArray<string> | undefined
  /** What a secret of this provider looks like, such as `/sk_live_\w+/`. */
  readonly patterns?: ReadonlyArray<RegExp> | undefined
}

/** Characters of a body that are kept in an error: 2 KiB. @category constants @since 0.1.0 */
export const excerptLimit = 2048

const mask = "<redacted>"

/** The last words of a field's name that make its value secret: `api_key` takes in `apiKey`, `x-api-key` and `stripe_api_key`. */
const secretFields = [
  "password",
  "passwd",
  "secret",
  "secret_key",
  "private_key",
  "access_key",
  "token",
  "api_key",
  "apikey",
  "authorization",
  "cookie",
  "card_number",
  "cvc",
  "cvv",
  "security_code",
  "ssn",
  "email",
  "phone",
  "phone_number"
]

/** Where a secret may begin: not inside a word, but right behind a percent escape. */
const start = String.raw`(?:(?<![a-zA-Z\d])|(?<=%[\da-fA-F]{2}))`

/** Bearer and Basic credentials, keys with a vendor's prefix, JSON web tokens, e-mail addresses. */
const shapes = [
  /(?<![a-z\d])(?:bearer|basic)(?:\s|\+|%20)+[\w.~+/=:%-]{6,}/giu,
  new RegExp(`${start}(?:sk|rk|pk|whsec|gh[opsu]|github_pat|xox[abeprs]|key)[-_][\\w-]{6,}`, "gu"),
  new RegExp(`${start}hv[brs]\\.[\\w.-]{6,}`, "gu"),
  new RegExp(`${start}AKIA[0-9A-Z]{12,}`, "gu"),
  new RegExp(`${start}eyJ[\\w-]{8,}\\.[\\w-]+\\.[\\w-]*`, "gu"),
  /(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}._%+-]+(?:@|%40|\\u0040)[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+/giu
]

/** A header whose value has spaces in it: secret to the end of the line. */
const secretHeader = /((?:authorization|cookie)["']?\s*[=:]\s*)[^\r\n"'\\]+/giu

const digitGroups = /\d(?:(?:[ +\u00a0-]|%20)?\d){12,}/gu

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

const isCard = (digits: string): boolean => digits.length >= 13 && digits.length <= 19 && passesLuhn(digits)

/** A card number may have other numbers beside it, such as its expiry: whole groups that make one are looked for. */
const maskCard = (found: string): string => {
  const groups = found.replaceAll("%20", " ").split(/\D/u)
  for (let from = 0; from < groups.length; from++) {
    let digits = ""
    for (const group of groups.slice(from)) {
      if (group.length < 3) break
      digits += group
      if (isCard(digits)) return mask
    }
  }
  return isCard(groups.join("")) ? mask : found
}

/** `clientSecret`, `client-secret` and `CLIENT_SECRET` as `_client_secret`. */
const inWords = (name: string): string =>
  `_${name
    .replaceAll(/(?<=[a-z\d])(?=[A-Z])/gu, "_")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, "_")}`

/**
 * Secret fields outside of JSON that can be parsed: in a query, a form, a header, broken JSON, JSON in a string, XML. A value in quotes ends with its quotes; one
 * without ends at a space or at what separates fields.
 */
const assignment = (names: ReadonlyArray<string>): RegExp => {
  const name = names.map((each) => each.replaceAll("_", String.raw`[^\p{L}\p{N}]?`)).join("|")
  const close = String.raw`(?:\]|%5D|\\*["'])*\s*(?:[=:>]|%3D|%3A)\s*`
  const masked = String.raw`(?!\\*["']?${mask}(?:[\\"'\s&,;}<]|$))`
  const value = [
    String.raw`(?<slashes>\\+)"[^"\\]*\k<slashes>"`,
    String.raw`\\*"(?:\\.|[^"\\])*"?`,
    String.raw`\\*'(?:\\.|[^'\\])*'?`,
    String.raw`(?<==\s*)[^\s&"'<]+`,
    String.raw`[^\s&,;}<]+`
  ]
  return new RegExp(`((?:${name})${close})${masked}(?:${value.join("|")})`, "giu")
}

/** How a text stands in a JSON string. */
const inJson = (text: string): string => JSON.stringify(text).slice(1, -1)

/** The spellings in which a secret may come back: as it is, percent-encoded, as a form has it, in JSON, and in JSON in strings of JSON. */
const spellings = (secret: string): ReadonlyArray<string> => {
  const text = secret.replaceAll(/\p{Surrogate}/gu, "\ufffd")
  const encoded = [encodeURIComponent(text), new URLSearchParams({ "": text }).toString().slice(1)]
  const inLowerCase = encoded.map((each) => each.replaceAll(/%../gu, (escape) => escape.toLowerCase()))
  const json = inJson(secret)
  return [...new Set([secret, ...encoded, ...inLowerCase, json, inJson(json), inJson(inJson(json))])]
}

/** A pattern that finds every place, however it was written: one without `g` cannot be used to replace, one with `y` stops early. */
const everywhere = (pattern: RegExp): RegExp => new RegExp(pattern.source, `${pattern.flags.replaceAll(/[gy]/gu, "")}g`)

/** Of a text that is cut off, this much more is read and not shown: nothing that is recognised by its shape and could be halved is longer. */
const margin = 512

/** @category constructors @since 0.1.0 */
export const make = (options: RedactionOptions = {}): Redaction => {
  const names = [...secretFields, ...(options.fields ?? []).map((name) => inWords(name).slice(1))].filter(Boolean)
  const isSecretField = (name: string): boolean => {
    const words = inWords(name)
    return names.some((each) => words.endsWith(`_${each}`))
  }
  const patterns = [...shapes, ...(options.patterns ?? []).map(everywhere)]
  const assigned = assignment(names)

  const known = (): ReadonlyArray<string> =>
    (options.secrets?.() ?? [])
      .map((secret) => Redacted.value(secret))
      .filter(({ length }) => length >= 4)
      .flatMap(spellings)
      .toSorted((a, b) => b.length - a.length)

  const withoutSecrets = (text: string, secrets: ReadonlyArray<string>): string => {
    let clean = text
    for (const secret of secrets) clean = clean.replaceAll(secret, mask)
    clean = clean.replaceAll(secretHeader, `$1${mask}`).replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ")
    for (const pattern of patterns) clean = clean.replaceAll(pattern, mask)
    return clean.replaceAll(assigned, `$1${mask}`).replaceAll(digitGroups, maskCard)
  }

  const text = (input: string, limit = excerptLimit): string => {
    const secrets = known()
    const unshown = margin + (secrets[0]?.length ?? 0)
    const clean = withoutSecrets(input.slice(0, limit + unshown), secrets)
    if (input.length <= limit + unshown && clean.length <= limit) return clean
    // What was cut off may have begun before the cut, where it was not recognised.
    const whole = input.length > limit + unshown ? Math.max(0, clean.length - unshown) : clean.length
    return `${clean.slice(0, Math.min(limit - 1, whole)).replace(/\p{Surrogate}$/u, "")}…`
  }

  const scrub = (value: unknown, depth: number): unknown => {
    if (depth > 8) return "…"
    if (Array.isArray(value)) return value.slice(0, 20).map((item) => scrub(item, depth + 1))
    if (!Predicate.isObject(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, isSecretField(name) ? mask : scrub(item, depth + 1)])
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
  // Some errors have no message, whatever their type says: Effect's `TimeoutError` is one.
  const { message: said, name }: { readonly message: unknown; readonly name: string } = root
  const message = Predicate.isString(said) && said !== "" ? said : name
  const safe = new Error(
    redaction.text(code === undefined || message.includes(code) ? message : `${code}: ${message}`, 512)
  )
  safe.name = name
  safe.stack = `${safe.name}: ${safe.message}`
  return safe
}
