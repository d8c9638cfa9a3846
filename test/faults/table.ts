/** What is known to catch each deliberate fault, as docs/simulation.md has it. */
import type { Fault } from './fault.ts'

/** Returns a table in Markdown. */
export function tableOf(faults: readonly Fault[]): string {
  const rows = faults.map(({ what, caughtBy = 'unknown' }) => {
    return `| ${what} | ${typeof caughtBy === 'number' ? `seed ${caughtBy}` : caughtBy} |`
  })
  return ['| fault | caught by |', '| --- | --- |', ...rows].join('\n')
}
