/** The command line: what is not understood gets one line and exit code 2. */
import { parseArgs } from "node:util"

export interface Arguments {
  readonly seed: number
  readonly orders: number
  readonly port: number
  readonly provider: "stripe" | "bank"
  readonly json: boolean
  /** Where `/metrics` and `/health` are served; `undefined` for nowhere. */
  readonly adminPort: number | undefined
  /** Base URL of an OTLP/HTTP collector. */
  readonly otlp: string | undefined
}

/** A mistake of whoever typed the command. */
export class UsageError extends Error {
  readonly _tag = "UsageError"
}

export const help = `A checkout takes orders over HTTP and charges them at a payment provider that misbehaves:
lost responses, bursts of 429, an outage of 2 s, malformed bodies. First a naive client, then Breakwater;
the provider's ledger decides who was charged.

  npx -y pnpm@12.21.0 demo [options]

  --seed N          what goes wrong, and when; 0 to 4294967295. Default 1
  --orders N        orders that arrive over 10 s; 1 to 5000. Default 500
  --provider NAME   stripe, or bank: the same shop over another Payments layer. Default stripe
  --port N          port of the simulated provider; 0 takes a free one. Default 0
  --admin-port N    serves /metrics (Prometheus) and /health on 127.0.0.1:N while it runs; 0 takes a free one
  --otlp URL        sends spans, metrics and log lines to an OTLP/HTTP collector, such as http://localhost:4318
  --json            the figures as one line of JSON on standard output
  --help            this text

Exit code: 0 when every payable order was charged once and nothing was lost; 1 when not; 2 for a mistake in the options.`

const whole = (name: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (!/^-?\d+$/u.test(text) || value < min || value > max)
    throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, got "${text}"`)
  return value
}

const httpUrl = (name: string, text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== "http:" && url?.protocol !== "https:")
    throw new UsageError(`--${name} must be an http or https URL, got "${text}"`)
  return text.replace(/\/+$/u, "")
}

export const parse = (args: ReadonlyArray<string>): Arguments | "help" => {
  const { values } = read(args)
  if (values.help === true) return "help"
  if (values.provider !== "stripe" && values.provider !== "bank")
    throw new UsageError(`--provider must be stripe or bank, got "${values.provider}"`)
  return {
    seed: whole("seed", values.seed, 0, 2 ** 32 - 1),
    orders: whole("orders", values.orders, 1, 5000),
    port: whole("port", values.port, 0, 65_535),
    provider: values.provider,
    json: values.json,
    adminPort: values["admin-port"] === undefined ? undefined : whole("admin-port", values["admin-port"], 0, 65_535),
    otlp: values.otlp === undefined ? undefined : httpUrl("otlp", values.otlp)
  }
}

const read = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: joined(args),
      options: {
        seed: { type: "string", default: "1" },
        orders: { type: "string", default: "500" },
        provider: { type: "string", default: "stripe" },
        port: { type: "string", default: "0" },
        "admin-port": { type: "string" },
        otlp: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h" }
      }
    })
  } catch (error) {
    throw new UsageError(
      `${error instanceof Error ? error.message.split(". ", 1)[0] : String(error)}; --help shows the options`
    )
  }
}

/** `--orders -3` as one word: otherwise the number is taken for an option. A `--` that a script runner leaves in front is dropped. */
const joined = (args: ReadonlyArray<string>): Array<string> => {
  const words = args[0] === "--" ? args.slice(1) : args
  return words.flatMap((word, index) => {
    if (/^-\d/u.test(word) && /^--[a-z-]+$/u.test(words[index - 1] ?? "")) return []
    return /^--[a-z-]+$/u.test(word) && /^-\d/u.test(words[index + 1] ?? "") ? [`${word}=${words[index + 1]}`] : [word]
  })
}
