/**
 * The commands of the observer, as a table to which modules add groups, as emqttd's register theirs at emqttd_ctl.
 *
 * A command is data: its name, how it is called, one line of help, what it does to the node, and a function. The same table serves
 * the prompt of bin/observer, its `--eval`, and the read-only shell that `erl -remsh` gets; the last has only commands that
 * read. Commands return plain data or promises of it; printing is elsewhere.
 */
import { BadArgError } from '../../actors/errors.ts'
import type { Session } from '../session.ts'
import type { NodeSource } from '../source.ts'
import type { Target } from '../target.ts'

/**
 * `read`: asks, and changes nothing. `act`: acts in the name of the observer's own process, such as sending a message.
 * `change`: changes the node, so it asks before.
 */
export type Effect = 'read' | 'act' | 'change'

/** What a command is run with. */
export interface CommandContext {
  readonly session: Session
  /** The node that it is about. */
  readonly target: Target
  /** How the node is asked, once it is known what it is. */
  source(): Promise<NodeSource>
}

export interface Command {
  /** With a dot for those of a module of OTP: `sys.getState`. */
  readonly name: string
  /** As help shows it: `(process, items?)`. */
  readonly params: string
  /** One line. */
  readonly help: string
  /** @default read */
  readonly effect?: Effect
  /** What is asked before it runs; for `change` only. */
  readonly question?: (context: CommandContext, ...args: unknown[]) => string | Promise<string>
  /** What it is called with came from a prompt: anything. */
  readonly run: (context: CommandContext, ...args: unknown[]) => unknown
}

export interface CommandGroup {
  /** A heading for help. */
  readonly title: string
  readonly commands: readonly Command[]
}

export class CommandTable {
  readonly #groups: CommandGroup[] = []
  readonly #byName = new Map<string, Command>()

  get groups(): readonly CommandGroup[] {
    return this.#groups
  }

  get commands(): IterableIterator<Command> {
    return this.#byName.values()
  }

  /** Adds a group. Throws `BadArgError` when a name is taken. */
  add(group: CommandGroup): this {
    for (const { name } of group.commands) {
      if (this.#byName.has(name)) throw new BadArgError(`there is a command ${name} already`)
    }
    for (const command of group.commands) this.#byName.set(command.name, command)
    this.#groups.push(group)
    return this
  }

  find(name: string): Command | undefined {
    return this.#byName.get(name)
  }

  /** The commands for those who may only read. */
  readOnly(): CommandTable {
    const table = new CommandTable()
    for (const { title, commands } of this.#groups) {
      const reading = commands.filter(({ effect = 'read' }) => effect === 'read')
      if (reading.length > 0) table.add({ title, commands: reading })
    }
    return table
  }
}
