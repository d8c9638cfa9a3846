/**
 * What a command of bin/ctl is: words that it understands, and a function that runs on the node.
 *
 * The words and the form of the output are emqttd_ctl's, so that existing eyes and scripts find what they know. A command gives
 * both lines for people and data for `--json`; it prints nothing itself.
 */
import type { Runtime } from '../actors/runtime.ts'
import type { Services } from '../broker/services.ts'

/** What commands work on. */
export interface CtlContext {
  readonly runtime: Runtime
  readonly services: Services
  /** The node as a program; undefined for a broker within another program, which has no such commands. */
  readonly program?: NodeProgram
}

/** A node that is a program of its own. */
export interface NodeProgram {
  /** Absolute path of its data directory. */
  readonly dataDir: string
  /** Has the node stopped, or stopped and started again, in order; returns at once. */
  end(how: 'stop' | 'restart'): void
}

/**
 * The word by which a command line says that it means what it says. A refusal whose reason is `confirm` asks for it: whoever has typed the
 * command at a terminal is asked, and the command is run again with this word behind it.
 */
export const YES = '--yes'

/** The reason of a refusal that asks for `YES`. */
export const CONFIRM = 'confirm'

/** One way to use a command, as `help` shows it. */
export interface Usage {
  /** Without the name of the program: `clients show <ClientId>`. */
  readonly syntax: string
  readonly text: string
}

/** What a command did. */
export interface Outcome {
  /** False for a refusal: the program then ends with 1. Nothing was changed. */
  readonly ok: boolean
  readonly lines: readonly string[]
  /** The same for programs; plain JSON. */
  readonly data: unknown
}

/** A command; undefined means that it does not understand the words, and its usage is shown. */
export interface Command {
  readonly name: string
  readonly usages: readonly Usage[]
  run(context: CtlContext, words: readonly string[]): Outcome | undefined | Promise<Outcome | undefined>
}

/** A success that prints lines. */
export function done(lines: readonly string[], data: unknown): Outcome {
  return { ok: true, lines, data }
}

/** `ok`, emqttd's word for a command that has nothing to show. */
export const OK: Outcome = done(['ok'], { result: 'ok' })

/** A refusal. `reason` is a word, or words, for programs. */
export function refused(line: string, reason: string): Outcome {
  return { ok: false, lines: [line], data: { error: reason, message: line } }
}

/** What `show` says of something that is not there. */
export const NOT_FOUND: Outcome = refused('Not Found.', 'not_found')
