/**
 * `bin/node --console`: the observer's shell on the node itself. Whoever leaves it stops the node, as in `emqttd console`.
 *
 * What the node logs meanwhile is shown above the line that is being typed.
 */
import type { Runtime } from '../actors/runtime.ts'
import { observerCommands } from '../observer/commands/all.ts'
import { Pids } from '../observer/print/pids.ts'
import { Prompt, type PromptOptions } from '../observer/shell/prompt.ts'

/** Where the user sits. */
export type Terminal = Pick<PromptOptions, 'input' | 'output' | 'home'>

/** A console that is open. */
export interface NodeConsole {
  /** Resolves when the user has left. */
  readonly ended: Promise<void>
  /** Shows a text that nobody has asked for. */
  notice(text: string): void
  close(): void
}

/** Opens a console on a node. */
export function openConsole(runtime: Runtime, version: string, terminal: Terminal): Promise<NodeConsole> {
  const { name } = runtime.node
  const session = { runtime, node: name, commands: observerCommands(), pids: new Pids(runtime.node) }
  return Prompt.start({
    ...terminal,
    session,
    yes: false,
    greeting: `agner ${version}`,
    leaving: 'Ctrl+D stops the node',
  })
}
