/** One circuit of this process beside those of its name in others: what of it was told, and what was heard and disproved. @internal */
import type { Telling, Told } from "../store/CircuitStore.ts"
import { limits } from "../store/CircuitStore.ts"
import type { NamedCircuit } from "../store/Connections.ts"

/** Incidents of others that are remembered while it is open, and afterwards as disproved; of more, the first are believed again. */
const maxIncidents = 64

/** What others are told of it, but for the names: that it has closed, or why it is open. @category models @since 0.1.0 */
export type Change = "closed" | Pick<Telling, "incident" | "reason" | "openMillis">

/** How others are heard. @category models @since 0.1.0 */
export interface Hearing {
  /** How many of them must tell it. */
  readonly members: number
  readonly now: number
  readonly random: () => number
}

const incidentOf = ({ incident, member }: Told): string => `${incident} ${member}`

const remember = (incidents: Set<string>, incident: string): void => {
  incidents.delete(incident)
  incidents.add(incident)
  for (const first of incidents) {
    if (incidents.size <= maxIncidents) return
    incidents.delete(first)
  }
}

/** @category models @since 0.1.0 */
export class SharedCircuit {
  readonly name: string
  private readonly circuit: NamedCircuit["circuit"]
  /** Whether it refused calls when it was last looked at. */
  private refused = false
  /** It has closed, and the store does not know. */
  private closes = false
  /** Openings of its own that were told. */
  private told = 0
  private incident = 0
  /** It was closed since the incident that was told last. */
  private isNew = true
  /** What the exchange under way tells, once it has succeeded. */
  private telling: { readonly openings: number; readonly incident: number } | undefined
  /** What others told while it refused: its own probes disprove it when they close it. */
  private readonly heard = new Set<string>()
  private readonly disproved = new Set<string>()

  constructor(circuit: NamedCircuit["circuit"], name: string) {
    this.circuit = circuit
    this.name = name
  }

  /** What there is to tell of it now. */
  look(now: number): Change | undefined {
    const { openings, reason = "", retryAfterMillis, state } = this.circuit.snapshot(now)
    const wasRefusing = this.refused
    this.telling = undefined
    this.refused = state === "open" || state === "half-open" || state === "forced-open"
    if (this.refused) this.closes = false
    else if (wasRefusing && state !== "disabled") this.closed()
    if (state === "closed") this.isNew = true
    if (this.closes) return "closed"
    if (state !== "open" || openings <= this.told || retryAfterMillis <= 0) return undefined
    this.telling = { openings, incident: this.isNew ? this.incident + 1 : this.incident }
    return { incident: this.telling.incident, reason, openMillis: Math.min(limits.openMillis, retryAfterMillis) }
  }

  private closed(): void {
    this.closes = true
    for (const incident of this.heard) remember(this.disproved, incident)
    this.heard.clear()
  }

  /** The store has what `look` said last. */
  isTold(): void {
    this.closes = false
    if (this.telling === undefined) return
    this.told = this.telling.openings
    this.incident = this.telling.incident
    this.isNew = false
  }

  /** Opens it, if it is not and enough of the others found theirs open, by incidents that its own probes have not disproved. */
  hear(others: ReadonlyArray<Told>, { members, now, random }: Hearing): void {
    const believed = others.filter((each) => !this.disproved.has(incidentOf(each)))
    const longest = believed.toSorted((a, b) => b.leftMillis - a.leftMillis)
    // So long at least are so many of them open.
    const decisive = longest[members - 1]
    if (decisive !== undefined) this.trip(decisive, now, random)
    if (this.refused) for (const each of believed) remember(this.heard, incidentOf(each))
  }

  private trip({ leftMillis, member, reason }: Told, now: number, random: () => number): void {
    if (this.circuit.state !== "closed" && this.circuit.state !== "ramping") return
    this.circuit.trip(now, leftMillis, `told by another process (${member.slice(0, 64)}: ${reason})`, random)
    this.refused = true
    // Nobody is told of an opening that was told.
    this.told = this.circuit.snapshot(now).openings
  }
}
