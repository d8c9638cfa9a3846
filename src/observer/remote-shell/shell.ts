/**
 * The read-only shell of a node on the terminal of another: what `erl -remsh` gets.
 *
 * A process of this node reads lines from the terminal of the one that started it, runs the commands that only read, and
 * writes what they return. It ends with the terminal.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ScriptContext } from '../../actors/process.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { observerCommands } from '../commands/all.ts'
import type { CommandTable } from '../commands/command.ts'
import { READ_ONLY_NOTES } from '../commands/help.ts'
import { termFunctions } from '../commands/terms.ts'
import { Pids } from '../print/pids.ts'
import { type PrintOptions, print } from '../print/print.ts'
import { Session } from '../session.ts'
import { errorText } from '../shell/outcome-text.ts'
import { Results } from '../shell/results.ts'
import { type Callable, evaluateExpression } from './expression.ts'
import { Terminal, TerminalGone } from './io.ts'

const DEFAULT_COLUMNS = 80

/** Serves the terminal until it is gone. */
export async function serveShell(self: ScriptContext, leader: Pid, version: string): Promise<void> {
  const shell = new RemoteShell(self, new Terminal(self, leader))
  // However it ends: code of a process that is killed never comes to what stands behind.
  self.onExit(() => void shell.close())
  try {
    await shell.run(version)
  } catch (error) {
    if (!(error instanceof TerminalGone)) throw error
  }
}

class RemoteShell {
  readonly #runtime: Runtime
  readonly #terminal: Terminal
  readonly #session: Session
  readonly #results = new Results()
  readonly #callable: Callable
  #columns = DEFAULT_COLUMNS

  constructor({ runtime }: ScriptContext, terminal: Terminal) {
    this.#runtime = runtime
    this.#terminal = terminal
    this.#session = new Session({
      runtime,
      node: runtime.node.name,
      commands: readOnlyCommands(),
      pids: new Pids(runtime.node),
      notes: READ_ONLY_NOTES,
      confirm: async () => false,
    })
    this.#callable = this.#callables()
  }

  async run(version: string): Promise<void> {
    await this.#terminal.write(
      `${this.#runtime.node.name}, agner ${version}: a shell that only reads. help() lists the commands; Ctrl+G, then q leaves.\n`,
    )
    for (;;) {
      const line = await this.#terminal.readLine(`(${this.#runtime.node.name})${this.#results.next}> `)
      if (line.tag === 'interrupt') continue
      if (line.value === undefined) return
      if (line.value.trim() === '') continue
      this.#columns = (await this.#terminal.columns()) ?? DEFAULT_COLUMNS
      await this.#terminal.write(`${await this.#answer(line.value.trim())}\n`)
    }
  }

  close(): Promise<void> {
    return this.#session.close()
  }

  async #answer(line: string): Promise<string> {
    try {
      const event = await this.#terminal.settled(evaluateExpression(line, this.#callable))
      this.#results.add(line, event.tag === 'done' ? event.value : undefined)
      return event.tag === 'done' ? print(event.value, this.#printOptions()) : '** interrupted'
    } catch (error) {
      if (error instanceof TerminalGone) throw error
      this.#results.add(line, undefined)
      return `** ${errorText(error)}`
    }
  }

  #printOptions(): PrintOptions {
    return { columns: this.#columns, pid: (pid) => this.#session.pids.write(pid) }
  }

  #callables(): Callable {
    const session = this.#session
    const terms = {
      ...termFunctions(session.pids),
      v: (number: unknown) => this.#results.value(number),
      h: () => this.#results.list((value) => print(value, this.#printOptions())),
    }
    return {
      command: (name) => {
        const command = session.commands.find(name)
        if (command === undefined) return undefined
        return (node, args) => session.run(command, node === undefined ? session.node : session.nodeName(node), args)
      },
      term: (name) => (Object.hasOwn(terms, name) ? terms[name as keyof typeof terms] : undefined),
    }
  }
}

/** What the shell offers, also for completion. */
export function readOnlyCommands(): CommandTable {
  return observerCommands().readOnly()
}
