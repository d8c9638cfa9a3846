/**
 * Alarms: conditions that somebody should look at, raised and later cleared by whoever sees them [OTP alarm_handler].
 *
 * Each change is told to the handlers (as those of a gen_event: $SYS, the log) and published under
 * $SYS/brokers/NODE/alarms/ID/alert and …/clear. An alarm that is raised again while it is active takes the new summary
 * and is not told a second time.
 */

/** How bad it is. */
export type Severity = 'warning' | 'error' | 'critical'

/** An active alarm. */
export interface Alarm {
  /** Names the condition, `long_mailbox` or `queue_high_watermark.CLIENT`; one alarm of an id is active at a time. */
  readonly id: string
  readonly severity: Severity
  readonly title: string
  readonly summary: string
  /** Wall clock, ms since 1970. */
  readonly raisedAtMs: number
}

/** Told of each change, in order. */
export interface AlarmHandler {
  alert(alarm: Alarm): void
  clear(alarm: Alarm, atMs: number): void
}

/** The alarms of one node. */
export class Alarms {
  readonly #active = new Map<string, Alarm>()
  #handlers: readonly AlarmHandler[] = []
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Adds a handler; returns what removes it. */
  addHandler(handler: AlarmHandler): () => void {
    this.#handlers = [...this.#handlers, handler]
    return () => {
      this.#handlers = this.#handlers.filter((other) => other !== handler)
    }
  }

  /** Raises an alarm. */
  alert({ id, severity, title, summary }: Omit<Alarm, 'raisedAtMs'>): void {
    const active = this.#active.get(id)
    const alarm: Alarm = { id, severity, title, summary, raisedAtMs: active?.raisedAtMs ?? this.#nowMs() }
    this.#active.set(id, alarm)
    if (active === undefined) for (const handler of this.#handlers) handler.alert(alarm)
  }

  /** Clears an alarm; returns whether it was active. */
  clear(id: string): boolean {
    const alarm = this.#active.get(id)
    if (alarm === undefined) return false
    this.#active.delete(id)
    for (const handler of this.#handlers) handler.clear(alarm, this.#nowMs())
    return true
  }

  /** The active alarms, the oldest first. */
  list(): readonly Alarm[] {
    return [...this.#active.values()]
  }
}
