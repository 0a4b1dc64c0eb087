/**
 * Takes the secrets out of what a cassette keeps: by the names of headers, parameters and fields, by their shape, and by their value wherever it stands. What a secret header
 * or field held is looked for everywhere else. @internal
 */
import * as Redaction from "@breakwater/core/Redaction"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Body, Interaction, RawRequest, RawResponse, Request } from "./CassetteFormat.ts"
import { mask } from "./CassetteFormat.ts"

/** What is secret beside the built-in. @category models @since 0.1.0 */
export interface RedactingOptions extends Redaction.RedactionOptions {
  /** Names of headers. */
  readonly headers?: ReadonlyArray<string> | undefined
  /** Names of query parameters and form fields. */
  readonly query?: ReadonlyArray<string> | undefined
  /** Places in JSON bodies, such as `customer.name` or `data.*.iban`, of which nothing is kept. What is not kept matches anything. */
  readonly paths?: ReadonlyArray<string> | undefined
}

/** @category models @since 0.1.0 */
export interface Redactor {
  /** Takes note of the secrets that a message carries, so that they are known in all others. */
  readonly learn: (message: RawRequest | RawResponse) => void
  readonly know: (secrets: Iterable<string>) => void
  readonly request: (request: RawRequest) => Request
  readonly response: (response: RawResponse) => Interaction["response"]
}

const secretName = /auth|cookie|key|token|secret|signature|^sig$|passw|credential|session/iu
/** Shorter values of secret fields would be found in places that have nothing to do with them. */
const minLearned = 6
const maxDepth = 100
const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

const textOf = (bytes: Uint8Array): string | undefined => {
  if (bytes.includes(0)) return undefined
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const parsed = (text: string): { readonly json: unknown } | undefined => {
  try {
    return { json: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}

/** Numbers that JavaScript cannot hold would come back as others. */
const isExact = (value: unknown): boolean => {
  if (typeof value === "number") return !Number.isInteger(value) || Number.isSafeInteger(value)
  return Predicate.isObject(value) || Array.isArray(value) ? Object.values(value as object).every(isExact) : true
}

const isTooDeep = (value: unknown, depth = 0): boolean =>
  typeof value === "object" &&
  value !== null &&
  (depth > maxDepth || Object.values(value).some((item) => isTooDeep(item, depth + 1)))

const jsonIn = (headers: Readonly<Record<string, string>>, text: string): { readonly json: unknown } | undefined => {
  const type = headers["content-type"]
  if (type !== undefined && !/[/+]json\b/iu.test(type)) return undefined
  const found = parsed(text)
  return found !== undefined && !isTooDeep(found.json) && isExact(found.json) ? found : undefined
}

const isForm = (headers: Readonly<Record<string, string>>): boolean =>
  /^application\/x-www-form-urlencoded/iu.test(headers["content-type"] ?? "")

/** What is left of a secret in Base64, whatever stands before and after it: the characters that depend on it alone. */
const inBase64 = (secret: string): ReadonlyArray<string> => {
  const bytes = encoder.encode(secret)
  return [0, 1, 2].flatMap((before) => {
    const padded = new Uint8Array(before + bytes.length)
    padded.set(bytes, before)
    const from = Math.ceil((before * 8) / 6)
    const core = Base64.encode(padded).slice(from, Math.floor((padded.length * 8) / 6))
    return core.length < minLearned ? [] : [core, core.replaceAll("+", "-").replaceAll("/", "_")]
  })
}

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1)

/** As it is, percent-encoded once and twice, as a form has it, in JSON, in JSON in a string of JSON. */
const encodings = (secret: string): ReadonlyArray<string> => {
  const text = secret.replaceAll(/\p{Surrogate}/gu, "\ufffd")
  const once = encodeURIComponent(text)
  const encoded = [once, encodeURIComponent(once), new URLSearchParams({ "": text }).toString().slice(1)]
  const inLowerCase = encoded.map((each) => each.replaceAll(/%../gu, (escape) => escape.toLowerCase()))
  const json = inJson(secret)
  return [secret, ...encoded, ...inLowerCase, json, inJson(json), inJson(inJson(json))]
}

const spellings = (secret: string): ReadonlyArray<string> => [secret, ...inBase64(secret)].flatMap(encodings)

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/gu, "\\$&")

/** Escapes that JSON does not need, which hide a secret from a look at the text. */
const unescaped = (text: string): string =>
  text
    .replaceAll(/\\u([\da-f]{4})/giu, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replaceAll("\\/", "/")

/** The parts of a credential: `Bearer x` has `x`, `Basic x` has what `x` says, and both of its halves. */
const partsOf = (value: string): ReadonlyArray<string> => {
  const credentials = value.replace(/^[a-z]+\s+/iu, "")
  const decoded = /^basic\s/iu.test(value) ? Base64.decodeString(credentials) : undefined
  if (decoded === undefined || Result.isFailure(decoded)) return [credentials]
  return [credentials, decoded.success, ...decoded.success.split(":")]
}

const fits = (pattern: ReadonlyArray<string>, path: ReadonlyArray<string>): boolean =>
  pattern.length === path.length && pattern.every((segment, index) => segment === "*" || segment === path[index])

/** Nothing of a value but its shape, so that a schema still reads it. */
const masked = (value: unknown): unknown => {
  if (typeof value === "string") return value === "" ? "" : mask
  if (typeof value === "number") return 0
  if (Array.isArray(value)) return value.map(masked)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, masked(item)]))
}

const stringsIn = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(stringsIn) : []
}

const controls = /([\p{Cc}\p{Cf}]+)/u

class Cleaner implements Redactor {
  private readonly learned = new Set<string>()
  private spelled: { readonly of: ReadonlyArray<string>; readonly pattern: RegExp } = { of: [], pattern: /(?!)/gu }
  private readonly redaction: Redaction.Redaction
  private readonly names = new Map<string, boolean>()
  private readonly options: RedactingOptions
  private readonly paths: ReadonlyArray<ReadonlyArray<string>>

  constructor(options: RedactingOptions) {
    this.options = options
    this.paths = (options.paths ?? []).map((path) => path.split("."))
    // Secrets are taken out here, by one pattern: core would spell each of them out for every text.
    this.redaction = Redaction.make({ fields: options.fields, patterns: options.patterns })
  }

  private known(): ReadonlyArray<string> {
    const given = (this.options.secrets?.() ?? []).map((secret) => Redacted.value(secret))
    return [...new Set([...given.filter(({ length }) => length >= 4), ...this.learned])]
  }

  /** Every spelling of every secret, the longest first. */
  private secrets(): RegExp {
    const known = this.known()
    const isCurrent =
      known.length === this.spelled.of.length && known.every((each, index) => each === this.spelled.of[index])
    if (isCurrent) return this.spelled.pattern
    const all = [...new Set(known.flatMap(spellings))].toSorted((a, b) => b.length - a.length)
    this.spelled = { of: known, pattern: all.length === 0 ? /(?!)/gu : new RegExp(all.map(escaped).join("|"), "gu") }
    return this.spelled.pattern
  }

  readonly know = (secrets: Iterable<string>): void => {
    for (const secret of secrets) if (secret.length >= minLearned) this.learned.add(secret)
  }

  readonly learn = (message: RawRequest | RawResponse): void => {
    for (const [name, value] of Object.entries(message.headers)) {
      if (name === "set-cookie" || name === "cookie")
        this.know([...value.matchAll(/=([^;,\s]+)/gu)].map(([, each = ""]) => each))
      else if (this.isSecretHeader(name)) this.know(partsOf(value))
    }
    if ("url" in message) this.learnPairs(message.url.searchParams)
    const text = textOf(message.body) ?? ""
    if (isForm(message.headers)) this.learnPairs(new URLSearchParams(text))
    const body = jsonIn(message.headers, text)
    if (body !== undefined) this.learnFields(body.json, [])
  }

  private learnPairs(pairs: URLSearchParams): void {
    for (const [name, value] of pairs) if (this.isSecretParameter(name)) this.know([value])
  }

  private learnFields(value: unknown, path: ReadonlyArray<string>): void {
    if (typeof value !== "object" || value === null) return
    for (const [name, item] of Object.entries(value)) {
      const at = [...path, name]
      const isGiven = this.paths.some((pattern) => fits(pattern, at))
      if (isGiven || this.isSecretField(name)) this.know(stringsIn(item))
      else this.learnFields(item, at)
    }
  }

  /** Whether core would take out the value of such a field. */
  private isSecretField(name: string): boolean {
    const found = this.names.get(name)
    if (found !== undefined) return found
    const isSecret = name !== "" && this.redaction.text(`"${name}":"value"`, Number.POSITIVE_INFINITY).includes(mask)
    this.names.set(name, isSecret)
    return isSecret
  }

  private isSecretHeader(name: string): boolean {
    const isGiven = this.options.headers?.some((each) => each.toLowerCase() === name) ?? false
    return isGiven || secretName.test(name)
  }

  private isSecretParameter(name: string): boolean {
    return (this.options.query?.includes(name) ?? false) || secretName.test(name) || this.isSecretField(name)
  }

  /** A text without secrets. Line ends stay where that is safe: core makes them spaces, so that nothing hides behind one. */
  private text(original: string): string {
    const secrets = this.secrets()
    const plain = unescaped(original)
    // An escaped secret is worth more than its escapes.
    const isHidden = plain !== original && plain.match(secrets)?.length !== original.match(secrets)?.length
    const text = (isHidden ? plain : original).replaceAll(secrets, mask)
    const clean = this.redaction.text(text, Number.POSITIVE_INFINITY)
    if (clean === text.replaceAll(new RegExp(controls, "gu"), " ")) return text
    const inPieces = text
      .split(controls)
      .map((piece, index) => (index % 2 === 1 ? piece : this.redaction.text(piece, Number.POSITIVE_INFINITY)))
      .join("")
    const flat = inPieces.replaceAll(new RegExp(controls, "gu"), " ")
    return this.redaction.text(inPieces, Number.POSITIVE_INFINITY) === flat ? inPieces : clean
  }

  private number(value: number): number {
    const digits = String(value)
    if (this.text(digits) === digits) return value
    // A time in milliseconds passes for a card number one time in ten.
    return digits.length >= 15 || digits.replaceAll(this.secrets(), mask) !== digits ? 0 : value
  }

  private json(value: unknown, path: ReadonlyArray<string>): unknown {
    if (this.paths.some((pattern) => fits(pattern, path))) return masked(value)
    if (typeof value === "string") return this.text(value)
    if (typeof value === "number") return this.number(value)
    if (Array.isArray(value)) return value.map((item, index) => this.json(item, [...path, String(index)]))
    if (!Predicate.isObject(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [
        this.text(name),
        this.isSecretField(name) ? masked(item) : this.json(item, [...path, name])
      ])
    )
  }

  private pairs(pairs: URLSearchParams): ReadonlyArray<readonly [string, string]> {
    return [...pairs].map(([name, value]) => [
      this.text(name),
      this.isSecretParameter(name) && value !== "" ? mask : this.text(value)
    ])
  }

  private binary(bytes: Uint8Array): string {
    let latin = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
    for (const secret of this.known().flatMap(spellings)) {
      const wanted = Array.from(encoder.encode(secret), (byte) => String.fromCharCode(byte)).join("")
      latin = latin.replaceAll(wanted, "*".repeat(wanted.length))
    }
    return Base64.encode(Uint8Array.from(latin, (char) => char.charCodeAt(0)))
  }

  private body(message: RawRequest | RawResponse): { readonly body?: Body } {
    if (message.body.length === 0) return {}
    const text = textOf(message.body)
    if (text === undefined) return { body: { base64: this.binary(message.body) } }
    const found = jsonIn(message.headers, text)
    if (found !== undefined) return { body: { json: this.json(found.json, []) } }
    if (!isForm(message.headers)) return { body: { text: this.text(this.parts(text)) } }
    const form = this.pairs(new URLSearchParams(text)).map(([name, value]) => [name, value])
    return { body: { text: new URLSearchParams(form).toString().replaceAll(encodeURIComponent(mask), mask) } }
  }

  /** A form in parts (RFC 7578) without the values of secret fields, and without its boundary, which is another one every time. */
  private parts(text: string): string {
    const boundary = /^--(\S+)\r?\ncontent-disposition:\s*form-data/iu.exec(text)?.[1]
    if (boundary === undefined) return text
    const part = /(name="([^"]*)"[^]*?\r?\n\r?\n)([^]*?)(?=\r?\n--)/gu
    const clean = text.replaceAll(part, (all: string, head: string, name: string) =>
      this.isSecretParameter(name) ? `${head}${mask}` : all
    )
    return clean.replaceAll(`--${boundary}`, `--${mask}`)
  }

  private headers(headers: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, this.isSecretHeader(name) ? mask : this.text(value)])
    )
  }

  readonly request = (request: RawRequest): Request => ({
    method: request.method,
    origin: this.text(request.url.origin),
    path: this.text(request.url.pathname),
    query: this.pairs(request.url.searchParams),
    headers: this.headers(request.headers),
    ...this.body(request)
  })

  readonly response = (response: RawResponse): Interaction["response"] => ({
    status: response.status,
    headers: this.headers(response.headers),
    ...this.body(response)
  })
}

/** @category constructors @since 0.1.0 */
export const make = (options: RedactingOptions): Redactor => new Cleaner(options)
