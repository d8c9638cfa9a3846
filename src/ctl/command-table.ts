/**
 * The commands of a node, in the order in which they were registered [emqttd_ctl:register_cmd/3].
 *
 * Any module of a layer that has something to tell can add to it. An unknown command, none and `help` show all usages; a
 * command that does not understand its words, or has the word `help`, shows its own.
 */
import type { Command, CtlContext, Outcome, Usage } from './command.ts'
import { refused } from './command.ts'

const RULE = '-'.repeat(80)
const SYNTAX_WIDTH = 48

export class CommandTable {
  readonly #commands = new Map<string, Command>()

  /** Adds a command. Throws a TypeError when there is one of that name. */
  register(command: Command): void {
    if (this.#commands.has(command.name)) throw new TypeError(`there is a command ${command.name} already`)
    this.#commands.set(command.name, command)
  }

  /** Runs the command that the first word names. Rejects with nothing: what a command throws is a refusal. */
  async run(context: CtlContext, [first = 'help', ...rest]: readonly string[]): Promise<Outcome> {
    // `help clients` and `clients help` are the same.
    const [name, ...words] = isHelp(first) && rest[0] !== undefined ? [rest[0], 'help'] : [first, ...rest]
    if (isHelp(name)) return { ok: true, lines: this.help(), data: { usage: this.#usages() } }
    const command = this.#commands.get(name)
    if (command === undefined) return { ...refused('', 'unknown_command'), lines: this.help() }
    if (isHelp(words[0]) && words.length === 1) {
      return { ok: true, lines: command.usages.map(usageLine), data: { usage: command.usages } }
    }
    try {
      const outcome = await command.run(context, words)
      return outcome ?? { ...refused('', 'usage'), lines: command.usages.map(usageLine) }
    } catch (error) {
      context.runtime.logger.error({ err: error, command: name }, 'a command has failed')
      return refused(`${name} has failed: ${error instanceof Error ? error.message : String(error)}`, 'failed')
    }
  }

  /** All usages, commands apart by a rule. */
  help(): string[] {
    const sections = [...this.#commands.values()].flatMap(({ usages }) => [RULE, ...usages.map(usageLine)])
    return ['Usage: bin/ctl [--name NODE] [--cookie COOKIE] [--node NODE] [--json] COMMAND', ...sections]
  }

  #usages(): Usage[] {
    return [...this.#commands.values()].flatMap(({ usages }) => [...usages])
  }
}

function isHelp(word: string | undefined): boolean {
  return word === 'help' || word === '--help'
}

function usageLine({ syntax, text }: Usage): string {
  return `${syntax.padEnd(SYNTAX_WIDTH)}# ${text}`
}
