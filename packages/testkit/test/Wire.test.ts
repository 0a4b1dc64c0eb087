import { assert, describe, it } from "@effect/vitest"
import { Exchange, Fault, Hint, Wire } from "@breakwater/testkit"

const answer = Exchange.json(200, { id: "d1", amount: 5 }, { "request-id": "r1" })
const edge = (status: number) => Exchange.json(status, { failed: status })
const on = (fault: Fault.Fault) => Wire.of({ fault, answer: fault.processed ? answer : undefined, edge, now: 0 })

const text = (wire: Wire.Wire): string =>
  wire._tag === "Answered"
    ? new TextDecoder().decode(Uint8Array.from(wire.chunks.flatMap((chunk) => [...chunk])))
    : wire._tag

const answered = (wire: Wire.Wire): Wire.Answered => {
  assert(wire._tag === "Answered")
  return wire
}

/** When it was answered, by the provider's clock. */
const date = "Thu, 01 Jan 1970 00:00:00 GMT"
const full = '{"id":"d1","amount":5}'

describe("Wire.of", () => {
  it("sends the answer as it is when nothing is wrong", () => {
    const wire = answered(on(Fault.none))

    assert.strictEqual(text(wire), full)
    assert.deepStrictEqual(
      { status: wire.status, headers: wire.headers, end: wire.end },
      {
        status: 200,
        headers: { "content-type": "application/json", "content-length": "22", "request-id": "r1", date },
        end: "complete"
      }
    )
  })

  it("breaks without an answer", () => {
    assert.deepStrictEqual(on(Fault.refused), { _tag: "Broken", code: "ECONNREFUSED" })
    assert.deepStrictEqual(on(Fault.resetBefore), { _tag: "Broken", code: "ECONNRESET" })
    assert.deepStrictEqual(on(Fault.lostResponse), { _tag: "Broken", code: "ECONNRESET" })
    assert.deepStrictEqual(on(Fault.blackhole()), { _tag: "Silent" })
    assert.deepStrictEqual(on(Fault.connectBlackhole("3 seconds")), { _tag: "Unconnected", millis: 3000 })
  })

  it("sends the body in pieces, under another type, or below headers that are too large", () => {
    const slow = answered(on(Fault.trickle({ pieces: 4, every: "2 seconds" })))
    const typed = answered(on(Fault.contentType("text/html")))
    const padded = answered(on(Fault.hugeHeaders(20_000)))

    assert.deepStrictEqual(
      [slow.chunks.map(({ length }) => length), slow.everyMillis, text(slow)],
      [[6, 6, 6, 4], 2000, full]
    )
    assert.deepStrictEqual([typed.headers["content-type"], text(typed)], ["text/html", full])
    assert.deepStrictEqual([padded.headers["x-padding"]?.length, text(padded)], [20_000, full])
    assert.deepStrictEqual(on(Fault.dns("EAI_AGAIN")), { _tag: "Broken", code: "EAI_AGAIN" })
    assert.deepStrictEqual(on(Fault.tls()), { _tag: "Broken", code: "CERT_HAS_EXPIRED" })
  })

  it("keeps the length of the whole body when it sends a part", () => {
    const half = answered(on(Fault.truncated(0.5)))
    const silent = answered(on(Fault.silence))

    assert.deepStrictEqual([text(half), half.end, half.headers["content-length"]], [full.slice(0, 11), "reset", "22"])
    assert.deepStrictEqual([text(silent), silent.end, silent.headers["content-length"]], ["", "stall", "22"])
    assert.deepStrictEqual(answered(on(Fault.truncated(0))).chunks, [])
  })

  it("spoils JSON so that it cannot be read, whatever it was", () => {
    assert.throws(() => JSON.parse(text(on(Fault.garbage))) as unknown, SyntaxError)
    for (const body of [{}, [], "text", 1, null]) {
      const wire = Wire.of({ fault: Fault.garbage, answer: Exchange.json(200, body), edge, now: 0 })
      assert.throws(() => JSON.parse(text(wire)) as unknown, SyntaxError)
      assert.strictEqual(answered(wire).headers["content-length"], String(text(wire).length))
    }
  })

  it("answers as a proxy does", () => {
    const page = answered(on(Fault.html(502)))

    assert.deepStrictEqual([page.status, page.headers["content-type"]], [502, "text/html"])
    assert.match(text(page), /^<!doctype html>/u)
  })

  it("answers with a status in the provider's words, and with its hint", () => {
    const wire = answered(on(Fault.status(503, { hint: Hint.seconds(2) })))

    assert.strictEqual(text(wire), '{"failed":503}')
    assert.deepStrictEqual(
      { status: wire.status, headers: wire.headers },
      { status: 503, headers: { "content-type": "application/json", "content-length": "14", "retry-after": "2", date } }
    )
    assert.strictEqual(
      text(on(Fault.status(500, { processed: true }))),
      '{"failed":500}',
      "also when the work was done"
    )
  })

  it("makes bodies empty or huge", () => {
    const empty = answered(on(Fault.emptyBody))
    const huge = answered(on(Fault.hugeBody({ bytes: 200_000 })))
    const hidden = answered(on(Fault.hugeBody({ bytes: 200_000, announced: false })))

    assert.deepStrictEqual([empty.status, text(empty), empty.headers["content-length"]], [200, "", "0"])
    assert.strictEqual(huge.headers["content-length"], "200000")
    assert.strictEqual(text(huge).length, 200_000)
    assert.deepStrictEqual(JSON.parse(text(huge)), { id: "d1", amount: 5 })
    assert.isUndefined(hidden.headers["content-length"])
    assert.strictEqual(text(hidden).length, 200_000)
  })

  it("dates an answer by the provider's clock, unless the provider does", () => {
    const said = { ...answer, headers: { date: "yesterday" } }
    const skewed = Wire.of({
      fault: Fault.status(503, { hint: Hint.httpDate(2) }),
      answer: undefined,
      edge,
      now: 60_000
    })

    assert.strictEqual(
      answered(Wire.of({ fault: Fault.none, answer: said, edge, now: 0 })).headers["date"],
      "yesterday"
    )
    assert.strictEqual(answered(skewed).headers["date"], "Thu, 01 Jan 1970 00:01:00 GMT")
    assert.strictEqual(answered(skewed).headers["retry-after"], "Thu, 01 Jan 1970 00:01:02 GMT")
  })

  it("gives a 204 no length", () => {
    const wire = answered(
      Wire.of({
        fault: Fault.none,
        answer: { status: 204, headers: {}, body: new Uint8Array(0), executed: true },
        edge,
        now: 0
      })
    )

    assert.deepStrictEqual(wire, { _tag: "Answered", status: 204, headers: { date }, chunks: [], end: "complete" })
  })
})
