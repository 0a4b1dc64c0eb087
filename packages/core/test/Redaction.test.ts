import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "@breakwater/core/Redaction"
import { Redacted, Schema } from "effect"

const plain = Redaction.make()

/** Redaction that knows these secrets. */
const knowing = (...secrets: ReadonlyArray<string>) =>
  Redaction.make({ secrets: () => secrets.map((secret) => Redacted.make(secret)) })

describe("Redaction.text of what looks like a secret", () => {
  it("takes out credentials of headers, keys with a vendor's prefix, and JSON web tokens (AUTH-10)", () => {
    const texts: ReadonlyArray<readonly [string, string]> = [
      ["sent Bearer abc123.def-456~x/y+z== twice", "sent <redacted> twice"],
      ["BASIC dXNlcjpwYXNz", "<redacted>"],
      ["Bearer%20abcdef123456&x=1", "<redacted>&x=1"],
      ["key sk_live_4eC39HqLyjWDarjtT1zdp7dc is invalid", "key <redacted> is invalid"],
      ["rk_test_1234567", "<redacted>"],
      ["(whsec_MfKQ9r8GKYqrTwjU)", "(<redacted>)"],
      ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "<redacted>"],
      ["github_pat_11ABCDEFG0123456789", "<redacted>"],
      ["xoxb-123456789012-abcdef", "<redacted>"],
      ["hvs.CAESIJlU02LQZq1kNmbdtOGTKbp", "<redacted>"],
      ["AKIAIOSFODNN7EXAMPLE", "<redacted>"],
      ["jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP end", "jwt <redacted> end"],
      ["next%3Dsk_live_4eC39HqLyjWDarj", "next%3D<redacted>"]
    ]

    for (const [text, clean] of texts) assert.strictEqual(plain.text(text), clean)
  })

  it("takes out e-mail addresses, encoded or not (TEST-4)", () => {
    const texts: ReadonlyArray<readonly [string, string]> = [
      ["to ada.lovelace+news@mail.example.co.uk, twice", "to <redacted>, twice"],
      ["to=ada%2Bnews%40example.com&x=1", "to=<redacted>&x=1"],
      ["<j\u00f6rg@ex\u00e4mple.de>", "<<redacted>>"],
      ['{"to":"ada\\u0040example.com"', '{"to":"<redacted>"'],
      ["user@localhost", "user@localhost"],
      ["@handle and a@b", "@handle and a@b"]
    ]

    for (const [text, clean] of texts) assert.strictEqual(plain.text(text), clean)
  })

  it("takes out card numbers by their check digit, however they are grouped (TEST-4)", () => {
    const cards = [
      "4242424242424242",
      "4242 4242 4242 4242",
      "4242-4242-4242-4242",
      "42 42 42 42 42 42 42 42",
      "4242%204242%204242%204242",
      "4242+4242+4242+4242",
      "4242\u00a04242\u00a04242\u00a04242",
      "4242\t4242\n4242\t4242",
      "378282246310005",
      "3782 822463 10005",
      "4222222222222",
      "6011000990139424",
      "6304000000000000000"
    ]

    for (const card of cards) assert.strictEqual(plain.text(`card ${card}.`), "card <redacted>.", card)
    assert.strictEqual(plain.text("pan4242424242424242x"), "pan<redacted>x")
  })

  it("finds a card number that has other numbers beside it", () => {
    for (const text of [
      "4242424242424242 123",
      "4242 4242 4242 4242 12/27",
      "2027 4242 4242 4242 4242",
      "1 4242424242424242",
      "4242424242424242 4242424242424241"
    ]) {
      assert.notInclude(plain.text(text), "4242", text)
    }
  })

  it("leaves numbers that are no cards", () => {
    const numbers = [
      "order 4242424242424241",
      "424242424242",
      "000000000000 111",
      "at 2026-11-21 00-06-28 77",
      "42424242424242424242424242424242",
      "at 2026-11-21 10:05:28.123456",
      "1790000000000",
      "+49 30 1234567",
      "123456789012"
    ]

    for (const number of numbers) assert.strictEqual(plain.text(number), number)
  })

  it("leaves ordinary words that only begin like a secret", () => {
    const texts = [
      "monkey-business",
      "basically fine",
      "the skill was risky",
      "eyJust a word",
      "password reset",
      "tokens: 5 used",
      "token_type was bearer"
    ]

    for (const text of texts) assert.strictEqual(plain.text(text), text)
  })

  it("takes out what a provider's secrets look like, whatever the flags of its patterns", () => {
    const redaction = Redaction.make({ patterns: [/acme-\d+/u, /ACME_[a-z]+/giu, /tok\d/y] })

    assert.strictEqual(
      redaction.text("acme-1 acme-22 acme_x ACME_Y tok1 tok2"),
      Array.from({ length: 6 }, () => "<redacted>").join(" ")
    )
  })
})

describe("Redaction.text of secret fields", () => {
  it("takes out the value in a query, a form, a header, JSON, JSON in a string, and XML", () => {
    const texts: ReadonlyArray<readonly [string, string]> = [
      ["GET /x?page=1&access_token=hunter2&limit=5", "GET /x?page=1&access_token=<redacted>&limit=5"],
      ["client_secret=a,b;c&scope=x", "client_secret=<redacted>&scope=x"],
      ["card[cvc]=123&card[exp]=12", "card[cvc]=<redacted>&card[exp]=12"],
      ["card%5Bcvc%5D=123&x=1", "card%5Bcvc%5D=<redacted>&x=1"],
      ["q=x&next=%2F%3Ftoken%3Dhunter2", "q=x&next=%2F%3Ftoken%3D<redacted>"],
      ["X-Api-Key: hunter2\r\nHost: acme.test", "X-Api-Key: <redacted> Host: acme.test"],
      ["Authorization: Token hunter2 hunter3\r\nHost: acme.test", "Authorization: <redacted> Host: acme.test"],
      ["Set-Cookie: sid=hunter2; Path=/\r\nHost: acme.test", "Set-Cookie: <redacted> Host: acme.test"],
      ['{"password": "hunter2", "user": "ada"', '{"password": <redacted>, "user": "ada"'],
      ['{"password":"hunt\\"er2","user":"ada"', '{"password":<redacted>,"user":"ada"'],
      ['{"pin":1,"cvc":123}x', '{"pin":1,"cvc":<redacted>}x'],
      ['{"password": "hunter, two", "user": "ada"', '{"password": <redacted>, "user": "ada"'],
      ["{'token': 'hunter2', 'a': 1}", "{'token': <redacted>, 'a': 1}"],
      ["{'token': 'hunter, two\\'s', 'a': 1}", "{'token': <redacted>, 'a': 1}"],
      [
        '{"log":"sent {\\"password\\":\\"hunter two\\",\\"a\\":1}"',
        '{"log":"sent {\\"password\\":<redacted>,\\"a\\":1}"'
      ],
      ["<password>hunter2</password><user>ada</user>", "<password><redacted></password><user>ada</user>"],
      ["user_password=hunter2", "user_password=<redacted>"],
      ["newPassword: hunter2", "newPassword: <redacted>"]
    ]

    for (const [text, clean] of texts) assert.strictEqual(plain.text(text), clean)
  })

  it("takes out the fields that a provider names, beside the built-in ones", () => {
    const redaction = Redaction.make({ fields: ["accountNumber", "X-Pin", "what?"] })

    assert.strictEqual(
      redaction.text("account_number=1&x-pin=2&what?=3&token=4&number=5"),
      "account_number=<redacted>&x-pin=<redacted>&what?=<redacted>&token=<redacted>&number=5"
    )
  })
})

describe("Redaction.text of secrets in use", () => {
  const spelled = (secret: string) => ({
    "as it is": secret,
    percent: encodeURIComponent(secret),
    "percent in lower case": encodeURIComponent(secret).replaceAll(/%../gu, (escape) => escape.toLowerCase()),
    form: new URLSearchParams({ "": secret }).toString().slice(1),
    JSON: JSON.stringify(secret).slice(1, -1)
  })

  it("takes them out wherever they stand, in every spelling (AUTH-10)", () => {
    for (const secret of ["s3cr", "plain-secret-1", "a b/c+d==", 'q"uo\\te', "user:p@ss w\u00f6rd", "(x)*!'~"]) {
      for (const [spelling, text] of Object.entries(spelled(secret))) {
        assert.strictEqual(
          knowing(secret).text(`-${text}-x${text}`),
          "-<redacted>-x<redacted>",
          `${secret} ${spelling}`
        )
      }
    }
  })

  it("takes out the longer of two secrets that begin alike", () => {
    assert.strictEqual(knowing("secret", "secret-and-more").text("secret-and-more"), "<redacted>")
  })

  it("looks at what is secret at the time of use, so that a rotated key is known", () => {
    let current = "old-secret"
    const redaction = Redaction.make({ secrets: () => [Redacted.make(current)] })
    const before = redaction.text("old-secret new-secret")

    current = "new-secret"

    assert.deepStrictEqual(
      [before, redaction.text("old-secret new-secret")],
      ["<redacted> new-secret", "old-secret <redacted>"]
    )
  })

  it("does not take out fragments of fewer than four characters", () => {
    assert.strictEqual(knowing("abc").text("abc"), "abc")
    assert.strictEqual(knowing("").text("abc"), "abc")
  })

  it("takes out secrets that have no spelling in a URL", () => {
    assert.strictEqual(knowing("lone\ud800surrogate").text("a lone\ud800surrogate b"), "a <redacted> b")
  })
})

describe("Redaction.text", () => {
  it("leaves text without secrets as it is, but for controls, which become spaces", () => {
    assert.strictEqual(plain.text("a\tb\r\nc\u0000\u200bd e\u00e9 \ud83d\ude00"), "a b c d e\u00e9 \ud83d\ude00")
  })

  it("has at most its limit of characters, on both sides of the boundary", () => {
    assert.strictEqual(plain.text("x".repeat(2048)), "x".repeat(2048))
    assert.strictEqual(plain.text("x".repeat(2049)), `${"x".repeat(2047)}\u2026`)
    assert.strictEqual(plain.text("abcdef", 6), "abcdef")
    assert.strictEqual(plain.text("abcdefg", 6), "abcde\u2026")
    assert.strictEqual(plain.text("x".repeat(100_000)).length, 2048)
  })

  it("does not halve a character at its end", () => {
    assert.strictEqual(plain.text(`abcd\ud83d\ude00xyz`, 6), "abcd\u2026")
  })

  it("shows no part of a secret that the cut goes through, wherever it stands", () => {
    const secret = "Zq7-planted-secret-Kp9"
    for (let before = 0; before < 140; before++) {
      const clean = knowing(secret).text(`${".".repeat(before)}${secret}${"x".repeat(2000)}`, 64)
      assert.notInclude(clean, "Zq7", String(before))
      assert.isAtMost(clean.length, 64)
    }
  })

  it("shows no part of a long secret that reading stopped in the middle of", () => {
    const secret = "k".repeat(700)

    for (let before = 0; before < 140; before++) {
      assert.notInclude(knowing(secret).text(".".repeat(before) + secret, 100), "k", String(before))
    }
  })

  it("shows no part of a secret at the end of what was read, when masks have made room for it", () => {
    const secret = "k".repeat(200)
    const text = `${`${secret} `.repeat(12)}${"x".repeat(100)} ada.lovelace@example.com ${secret}`.repeat(5)

    for (let cut = 0; cut < 400; cut++) {
      const clean = knowing(secret).text(text.slice(cut), 1024)
      assert.notMatch(clean, /kkkk|lovelace/u)
    }
  })
})

describe("Redaction.body", () => {
  it("takes out the values of secret fields of JSON, whatever they are and however deep", () => {
    const body = {
      id: "x",
      password: "hunter2",
      accessToken: { value: "hunter2" },
      nested: [{ deep: { "api-key": ["hunter2"], API_KEY: 4711, userEmail: null } }],
      token_type: "bearer",
      amount: 12
    }

    assert.deepStrictEqual(JSON.parse(plain.body(JSON.stringify(body))), {
      id: "x",
      password: "<redacted>",
      accessToken: "<redacted>",
      nested: [{ deep: { "api-key": "<redacted>", API_KEY: "<redacted>", userEmail: "<redacted>" } }],
      token_type: "bearer",
      amount: 12
    })
  })

  it("takes out secrets in names and values of JSON, escaped or not", () => {
    const body = JSON.stringify({ "ada@example.com": 1, note: 'has p"ss\\word and 4242 4242 4242 4242' })

    assert.strictEqual(knowing('p"ss\\word').body(body), '{"<redacted>":1,"note":"has <redacted> and <redacted>"}')
    assert.strictEqual(knowing("ab/cd/ef").body('{"a":"ab\\/cd\\u002fef"}'), '{"a":"<redacted>"}')
  })

  it("shows at most twenty items of a list, and eight levels", () => {
    const deep = Array.from({ length: 12 }).reduce<unknown>((inner) => ({ a: inner }), "bottom")

    assert.deepStrictEqual(
      JSON.parse(plain.body(JSON.stringify(Array.from({ length: 30 }, (_, index) => index)))),
      Array.from({ length: 20 }, (_, index) => index)
    )
    assert.strictEqual(plain.body(JSON.stringify(deep)), `${'{"a":'.repeat(9)}"\u2026"${"}".repeat(9)}`)
  })

  it("treats what is not JSON as text", () => {
    assert.strictEqual(plain.body("<h1>502</h1> token=hunter2"), "<h1>502</h1> token=<redacted>")
    assert.strictEqual(plain.body(""), "")
    assert.strictEqual(plain.body('"just text"'), '"just text"')
  })

  it("takes out secret fields of JSON that is too long to be parsed, or broken off", () => {
    const fields = JSON.stringify({ password: "hunter2", note: "x".repeat(40_000) })

    assert.notInclude(plain.body(fields), "hunter2")
    assert.notInclude(plain.body(fields.slice(0, 100)), "hunter2")
    assert.strictEqual(plain.body(fields).length, 2048)
  })

  it("parses JSON of at most 32,768 characters, on both sides of the boundary", () => {
    const list = (length: number) => `[${"1,".repeat(length)}1]`

    assert.strictEqual(plain.body(list(16_382)), `[${"1,".repeat(19)}1]`)
    assert.strictEqual(plain.body(list(16_383)), `[${"1,".repeat(1023)}\u2026`)
  })

  it("keeps a field called __proto__ to itself", () => {
    assert.strictEqual(
      plain.body('{"__proto__":{"password":"hunter2","a":1}}'),
      '{"__proto__":{"password":"<redacted>","a":1}}'
    )
  })
})

/** Secrets by which they are recognised, each with the part that must not be seen. */
const planted = [
  "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
  "ada.lovelace@mail.example.org",
  "4242424242424242",
  "4242 4242 4242 4242",
  "378282246310005",
  "AKIAIOSFODNN7EXAMPLE"
] as const

/** A secret that only its owner can recognise. */
const inUse = 'Zq7/p+ K\u00e4p9="\\&'

/** Where a provider might put what it was sent. */
const places: ReadonlyArray<(secret: string) => string> = [
  (secret) => `the value ${secret} was refused`,
  (secret) => `"${secret}"`,
  (secret) => JSON.stringify({ error: { message: `no such key: ${secret}` } }),
  (secret) => JSON.stringify({ a: [{ b: { c: { d: { e: [secret] } } } }] }),
  (secret) => JSON.stringify({ log: JSON.stringify({ received: secret }) }),
  (secret) => `/v1/x?value=${encodeURIComponent(secret)}&page=2`,
  (secret) =>
    new URLSearchParams([
      ["value", secret],
      ["card[number]", secret]
    ]).toString(),
  (secret) => `<error><value>${secret}</value></error>`,
  (secret) => `x-echo: ${secret}\r\nx-other: 1`,
  (secret) => JSON.stringify({ error: `tried ${secret}, ${secret} and (${secret})` }).slice(0, -3)
]

const Plant = Schema.Struct({
  secret: Schema.Union([Schema.Literals(planted), Schema.Literals([inUse])]),
  place: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: places.length - 1 })),
  before: Schema.String,
  times: Schema.Literals([1, 1, 2, 30])
})

/** The secret without what separates or encodes its parts, to be looked for in a text without the same. */
const bare = (text: string): string => text.replaceAll(/%[\da-f]{2}|[\s"'\\+-]/giu, "").toLowerCase()

describe("Redaction of anything", () => {
  const redaction = knowing(inUse)

  it.prop(
    "lets no planted secret survive, wherever it stands and whatever is around it (AUTH-10, TEST-4)",
    [
      Schema.Array(Plant),
      Schema.Literals([32, 64, 512, 2048]),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3000 }))
    ],
    ([plants, limit, padding]) => {
      const parts = plants.flatMap(({ before, place, secret, times }) => {
        const text = places[place]?.(secret) ?? ""
        return Array.from({ length: times }, () => `${before} ${text}`)
      })
      const input = `${"x".repeat(padding)} ${parts.join("\n")}`

      for (const output of [
        redaction.text(input, limit),
        redaction.body(input),
        redaction.body(JSON.stringify({ input }))
      ]) {
        for (const { secret } of plants) {
          assert.notInclude(output, secret)
          assert.notInclude(bare(output), bare(secret).slice(0, 12))
        }
      }
      assert.isAtMost(redaction.text(input, limit).length, limit)
      assert.isAtMost(redaction.body(input).length, Redaction.excerptLimit)
    },
    { arbitrary: { runs: 800, size: 12, seed: "planted" } }
  )

  it.prop(
    "never throws, keeps its limit, and holds no control character",
    [Schema.String, Schema.Literals([1, 2, 10, 100])],
    ([input, limit]) => {
      const output = redaction.text(input, limit)

      assert.isAtMost(output.length, limit)
      assert.notMatch(output, /\p{Cc}/u)
      assert.isAtMost(redaction.body(input).length, Redaction.excerptLimit)
    },
    { arbitrary: { runs: 1500, size: 150, seed: "any text" } }
  )

  it.prop(
    "never throws on JSON, and shows nothing of a secret field",
    [Schema.Json, Schema.Literals(["password", "clientSecret", "x-api-key", "CVC"])],
    ([json, name]) => {
      const output = redaction.body(JSON.stringify({ a: { [name]: ["planted-value", json] }, b: json }))

      assert.notInclude(output, "planted-value")
    },
    { arbitrary: { runs: 500, size: 20, seed: "json" } }
  )

  const Piece = Schema.Literals([
    "token",
    "password",
    "[cvc]",
    "=",
    ":",
    " ",
    '"',
    "\\",
    "'",
    "&",
    "hunter2",
    "4242",
    "%5D",
    "@",
    "a.b",
    "<redacted>",
    "Bearer ",
    "}",
    ","
  ])

  it.prop(
    "leaves nothing that a second look would find",
    [Schema.Array(Piece)],
    ([pieces]) => {
      const once = redaction.text(pieces.join(""))

      assert.strictEqual(redaction.text(once), once)
    },
    { arbitrary: { runs: 3000, size: 14, seed: "twice" } }
  )

  it("takes no time worth mentioning on text made to keep it busy", () => {
    const hostile = [
      "a".repeat(1e6),
      "a.".repeat(5e5),
      "@".repeat(1e6),
      "token".repeat(2e5),
      `token${" ".repeat(1e6)}`,
      "1 ".repeat(5e5),
      "\\".repeat(1e6),
      '"password":'.repeat(1e5),
      "eyJ".repeat(3e5),
      `password="${"\\".repeat(1e6)}`,
      "%40".repeat(3e5)
    ]
    const started = performance.now()

    for (const text of hostile) {
      redaction.text(text)
      redaction.body(text)
    }

    assert.isBelow(performance.now() - started, 2000)
  })
})

describe("Redaction.failureCode", () => {
  it("finds the system's code, however deep a client hid it", () => {
    const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
    const hidden = new Error("fetch failed", { cause: new Error("other side", { cause: reset }) })

    assert.strictEqual(Redaction.failureCode(reset), "ECONNRESET")
    assert.strictEqual(Redaction.failureCode(hidden), "ECONNRESET")
    assert.strictEqual(Redaction.failureCode({ code: 7, cause: { code: "EPIPE" } }), "EPIPE")
  })

  it("gives up at the fifth cause, and on what has none", () => {
    const chain = (depth: number): unknown => (depth === 0 ? { code: "DEEP" } : { cause: chain(depth - 1) })
    const cycle: { cause?: unknown } = {}
    cycle.cause = cycle

    assert.strictEqual(Redaction.failureCode(chain(4)), "DEEP")
    assert.isUndefined(Redaction.failureCode(chain(5)))
    for (const none of [undefined, null, "ECONNRESET", 7, {}, new Error("x"), cycle])
      assert.isUndefined(Redaction.failureCode(none))
  })
})

describe("Redaction.safeCause", () => {
  const redaction = knowing("planted-secret")

  it("keeps name, code and message without secrets, and nothing of the original", () => {
    const original = Object.assign(new TypeError("connect to planted-secret failed"), {
      code: "ECONNREFUSED",
      request: { headers: { authorization: "planted-secret" } }
    })

    const safe = Redaction.safeCause(original, redaction)

    assert.strictEqual(safe.name, "TypeError")
    assert.strictEqual(safe.message, "ECONNREFUSED: connect to <redacted> failed")
    assert.strictEqual(safe.stack, "TypeError: ECONNREFUSED: connect to <redacted> failed")
    assert.isUndefined(safe.cause)
    assert.notInclude(inspect(safe, { depth: 10, showHidden: true }), "planted-secret")
  })

  it("speaks of the failure that the others wrap, and names its code once", () => {
    const root = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })

    const safe = Redaction.safeCause(new Error("GET https://acme.test/?key=planted-secret", { cause: root }), redaction)

    assert.strictEqual(safe.message, "read ECONNRESET")
  })

  it("has a message for what is no Error", () => {
    assert.strictEqual(Redaction.safeCause("planted-secret failed", redaction).message, "<redacted> failed")
    for (const value of [undefined, null, 7, { planted: "planted-secret" }]) {
      assert.strictEqual(Redaction.safeCause(value, redaction).message, "not an Error")
    }
  })

  it("keeps no more than 512 characters of a message", () => {
    assert.strictEqual(Redaction.safeCause(new Error("x".repeat(5000)), redaction).message.length, 512)
  })
})
