/** What holds over a client of effects holds over a transport that calls back: the same tests, once more. */
import * as Fake from "../support/FakeTransport.ts"

Fake.way.callsBack = true

await import("./credentials.test.ts")
await import("./hints.test.ts")
await import("./interruption.test.ts")
await import("./load.test.ts")
await import("./order.test.ts")
await import("./outgoing.test.ts")
await import("./plain-client.test.ts")
await import("./policy.test.ts")
await import("./reasons.test.ts")
await import("./redirects.test.ts")
await import("./refusals.test.ts")
await import("./safety.test.ts")
await import("./secrets.test.ts")
await import("./telemetry.test.ts")
await import("./timeouts.test.ts")
