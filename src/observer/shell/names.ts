/** What is there at a prompt by its name, beside what the evaluator adds: commands, terms, and a few conveniences. */
import { termFunctions } from '../commands/terms.ts'
import { type PrintOptions, print } from '../print/print.ts'
import { withView } from '../print/view.ts'
import type { Session } from '../session.ts'

/** The names of a session. */
export function promptNames(session: Session, options: () => PrintOptions): Readonly<Record<string, unknown>> {
  const { timers } = session.runtime
  return {
    ...session.api(),
    ...termFunctions(session.pids),
    sleep: (ms: number) => new Promise<void>((resolve) => void timers.set(ms, resolve)),
    rp: (value: unknown, { unmask = false }: { readonly unmask?: boolean } = {}) => {
      const show = (settled: unknown): object =>
        withView({ text: print(settled, { ...options(), full: true, unmask }) }, { as: 'text' })
      return isThenable(value) ? value.then(show) : show(value)
    },
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
