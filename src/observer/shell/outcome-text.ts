/** What is printed for an input: its value, or one line that says what went wrong. */
import { inline, type PrintOptions, print } from '../print/print.ts'
import { safe } from '../print/text.ts'
import { ObserverError } from '../target.ts'
import type { Outcome } from './evaluator.ts'

/** The text of an outcome, without a newline at its end. */
export function outcomeText(outcome: Outcome, options: PrintOptions): string {
  switch (outcome.tag) {
    case 'value':
      return print(outcome.value, options)
    case 'thrown':
      return `** ${errorText(outcome.error, options)}`
    case 'interrupted':
      return '** interrupted'
    case 'incomplete':
      return '** the input is not complete'
  }
}

/** One line. Errors of the prompt's own realm are no instances of ours, and look like them. */
export function errorText(error: unknown, options: Partial<PrintOptions> = {}): string {
  if (error instanceof ObserverError) return safe(error.message)
  const { name, message } = (typeof error === 'object' && error !== null ? error : {}) as Partial<Error>
  if (typeof name === 'string' && typeof message === 'string') return safe(`${name}: ${message}`)
  return `thrown: ${inline(error, options)}`
}
