/**
 * One user at a prompt: which node is looked at, in whose name, and how commands reach it.
 *
 * A session belongs to a runtime: that of bin/observer, which is a hidden node, or that of the observed node itself, for the
 * shell that `erl -remsh` gets. It remembers what each node is, until the node goes down.
 */
import { BadArgError } from '../actors/errors.ts'
import type { Runtime } from '../actors/runtime.ts'
import { distributionOf } from '../dist/distribution.ts'
import { parseNodeName } from '../dist/node-name.ts'
import { BackendSource } from './backend-source.ts'
import { adopt } from './commands/adopt.ts'
import type { Command, CommandContext, CommandTable } from './commands/command.ts'
import { type HelpLine, PROMPT_NOTES } from './commands/help.ts'
import { Pending } from './commands/pending.ts'
import { OtpSource } from './otp-source.ts'
import type { Pids } from './print/pids.ts'
import { ShellProcess } from './shell-process.ts'
import type { NodeSource } from './source.ts'
import { DEADLINE_MS, ObserverError, Target } from './target.ts'

export interface SessionOptions {
  readonly runtime: Runtime
  /** The node to look at; the user may choose another. */
  readonly node: string
  readonly commands: CommandTable
  readonly pids: Pids
  /** What help tells beside the commands. @default what the prompt of bin/observer understands */
  readonly notes?: readonly HelpLine[]
  /** How long a node may take to answer. @default 5000 */
  readonly deadlineMs?: number
  /** Asks the user; false is no. */
  readonly confirm: (question: string) => Promise<boolean>
}

/** The commands as functions, those with a dot in their name as functions of an object. */
export type Api = Readonly<Record<string, unknown>>

export class Session {
  readonly runtime: Runtime
  readonly commands: CommandTable
  readonly pids: Pids
  readonly shell: ShellProcess
  readonly notes: readonly HelpLine[]
  /** The node that commands are about. */
  node: string
  readonly #deadlineMs: number
  readonly #confirm: SessionOptions['confirm']
  readonly #sources = new Map<string, Promise<NodeSource>>()
  /** Nodes that are known to be Erlang's. */
  readonly #erlang = new Set<string>()
  readonly #atEnd = new Set<() => unknown>()

  constructor(options: SessionOptions) {
    const { runtime, node, commands, pids, notes = PROMPT_NOTES, deadlineMs = DEADLINE_MS, confirm } = options
    this.runtime = runtime
    this.notes = notes
    this.node = node
    this.commands = commands
    this.pids = pids
    this.#deadlineMs = deadlineMs
    this.#confirm = confirm
    this.shell = new ShellProcess(runtime, 'observer:shell/0')
    const unsubscribe = distributionOf(runtime)?.subscribe(({ tag, node: other }) => {
      if (tag === 'nodedown') this.#sources.delete(other)
    })
    if (unsubscribe !== undefined) this.#atEnd.add(unsubscribe)
  }

  targetOf(node: string): Target {
    return new Target(node, this.shell.self, this.#deadlineMs)
  }

  /** How a node is asked. Rejects with `ObserverError` when it cannot be reached. */
  sourceOf(node: string): Promise<NodeSource> {
    let source = this.#sources.get(node)
    if (source === undefined) {
      source = this.#findSource(node)
      this.#sources.set(node, source)
      source.catch(() => this.#sources.delete(node))
    }
    return source
  }

  /** Whether the node that is looked at is one of Erlang; false until it is known. */
  get isErlang(): boolean {
    return this.#erlang.has(this.node)
  }

  /** `n1` is the node of that name on the host of the node that is looked at. */
  nodeName(name: string): string {
    if (name.includes('@')) return name
    return `${name}@${parseNodeName(this.node)?.host ?? 'localhost'}`
  }

  /** All commands about a node, as functions. */
  api(node: () => string = () => this.node): Api {
    const api: Record<string, unknown> = {}
    for (const command of this.commands.commands) {
      const [first, second] = command.name.split('.') as [string, string?]
      const run = (...args: unknown[]): Pending => Pending.from(this.run(command, node(), args))
      if (second === undefined) {
        api[first] = named(first, run)
      } else {
        const members = (api[first] ?? {}) as Record<string, unknown>
        members[second] = named(second, run)
        api[first] = members
      }
    }
    api.at = named('at', (name: unknown) => {
      if (typeof name !== 'string') throw new BadArgError("at takes the name of a node: at('n2')")
      const other = this.nodeName(name)
      return this.api(() => other)
    })
    return api
  }

  /** Runs a command, after asking when it changes something. */
  async run(command: Command, node: string, args: readonly unknown[]): Promise<unknown> {
    const target = this.targetOf(node)
    const context: CommandContext = { session: this, target, source: () => this.sourceOf(node) }
    const given = await Promise.all(args.map((arg) => adopt(arg)))
    if (command.effect === 'change') {
      const question = (await command.question?.(context, ...given)) ?? `${command.name} changes ${node}`
      if (!(await this.#confirm(question))) throw new ObserverError('not done', 'not_confirmed')
    }
    return command.run(context, ...given)
  }

  /** Calls `end` when the session ends, which waits for it; returns what takes that back. */
  atEnd(end: () => unknown): () => void {
    this.#atEnd.add(end)
    return () => void this.#atEnd.delete(end)
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#atEnd].map((end) => end()))
    this.#atEnd.clear()
    const { runtime } = this
    const process = runtime.process(this.shell.self.pid)
    if (process !== undefined) runtime.terminate(process, 'normal')
  }

  async #findSource(node: string): Promise<NodeSource> {
    const target = this.targetOf(node)
    const source = (await BackendSource.of(target)) ?? (await OtpSource.of(target))
    if (source.isErlang) this.#erlang.add(node)
    return source
  }
}

function named<F extends (...args: never[]) => unknown>(name: string, fn: F): F {
  return Object.defineProperty(fn, 'name', { value: name })
}
