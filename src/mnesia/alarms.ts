/** How the tables raise alarms: the layer above shows them to people. */

export interface Alarms {
  /** Raises an alarm, or changes its text. */
  raise(name: string, text: string): void
  clear(name: string): void
}
