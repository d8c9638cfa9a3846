/** The list of commands, by their groups. */
import type { CommandTable } from './command.ts'

/** Longest call that has its help on the same line. */
const CALL_COLUMNS = 40

/** All commands of a table, one a line. */
export function helpText(table: CommandTable, notes: readonly HelpLine[]): string {
  const commands = table.groups.flatMap(({ title, commands: group }) => [
    title,
    ...group.flatMap(({ name, params, help }) => line([name + params, help])),
  ])
  return [...commands, 'Beside these', ...notes.flatMap(line)].join('\n')
}

/** A way to type something, and what it does. */
export type HelpLine = readonly [typed: string, help: string]

function line([typed, help]: HelpLine): string[] {
  const call = `  ${typed}`
  const gap = ' '.repeat(CALL_COLUMNS)
  return call.length > CALL_COLUMNS ? [call, `${gap}  ${help}`] : [`${call.padEnd(CALL_COLUMNS)}  ${help}`]
}

/** What can be typed at the prompt of bin/observer beside the commands. */
export const PROMPT_NOTES: readonly HelpLine[] = [
  ["at('n2').i()", 'the same commands about another node'],
  ['<1.77.0>', 'a pid, as it was shown'],
  ['v(3) v(-1) e(3) h()', 'the value of a line, the line again, all lines'],
  ["f('x') f()", 'forgets a variable, or all'],
  ["atom('ok') tuple(1, 2) charlist('x') binary('x')", 'terms for an Erlang node; text(term) reads one'],
  ['rp(value, { unmask })', 'prints a value in full'],
  ['i().filter(p => p.msgq > 0)', 'any JavaScript, run in the observer; values that come later are awaited'],
]

/** What can be typed at the prompt of the shell that only reads. */
export const READ_ONLY_NOTES: readonly HelpLine[] = [
  ["at('n2').i()", 'the same commands about another node'],
  ["whereis('rex') whereis(rex). i({ limit: 5 })", 'arguments are literals, calls and bare names; nothing else is run'],
  ['<0.12.0>', 'a pid, as it was shown'],
  ['v(3) v(-1) h()', 'the value of a line, all lines'],
  ["atom('ok') tuple(1, 2) charlist('x')", 'terms'],
]
