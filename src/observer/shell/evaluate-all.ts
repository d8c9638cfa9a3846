/** Expressions of a command line: each value is printed; the first failure is told in one line, and ends it. */
import { type PrintOptions, print } from '../print/print.ts'
import type { Session } from '../session.ts'
import { Evaluator } from './evaluator.ts'
import { promptNames } from './names.ts'
import { errorText } from './outcome-text.ts'

export interface EvaluateOptions {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly print: PrintOptions
  readonly signal: AbortSignal
}

/** Resolves with whether all went well. */
export async function evaluateAll(
  session: Session,
  sources: readonly string[],
  { out, err, print: options, signal }: EvaluateOptions,
): Promise<boolean> {
  const evaluator = new Evaluator({
    names: promptNames(session, () => options),
    log: (text) => out(`${text}\n`),
    print: (value) => print(value, options),
  })
  for (const source of sources) {
    const outcome = await evaluator.evaluate(source, signal)
    if (outcome.tag === 'value') {
      out(`${print(outcome.value, options)}\n`)
      continue
    }
    err(`${outcome.tag === 'thrown' ? errorText(outcome.error, options) : `${source}: ${outcome.tag}`}\n`)
    return false
  }
  return true
}
