/**
 * The side of Erlang's I/O protocol that asks: a shell that runs here, on the terminal of another node [OTP stdlib, "The Erlang
 * I/O Protocol"].
 *
 * Requests are `{io_request, From, ReplyAs, Request}` to the group leader of whoever started the shell, answers `{io_reply, ReplyAs,
 * Reply}`. While an answer is awaited, Ctrl+C arrives as an exit signal `interrupt`, and the end of the group leader as another:
 * both are told to the caller instead of the answer.
 */
import type { Pid } from '../../actors/pid.ts'
import type { ScriptContext } from '../../actors/process.ts'
import { Ref } from '../../actors/ref.ts'
import { isDownMessage, isExitMessage } from '../../actors/signal.ts'
import { atom, atomName, isTuple, text, tuple } from '../../dist/term.ts'

/** The terminal is gone, and with it whoever sat there. */
export class TerminalGone extends Error {
  override readonly name = 'TerminalGone'
}

/** What came of waiting. */
export type Event<T> = { readonly tag: 'done'; readonly value: T } | { readonly tag: 'interrupt' }

const IO_REQUEST = atom('io_request')
const UNICODE = atom('unicode')
const INTERRUPT = 'interrupt'
const MAX_CHARACTERS = 16_384

export class Terminal {
  readonly #self: ScriptContext
  readonly #leader: Pid

  /** The process has to trap exits. */
  constructor(self: ScriptContext, leader: Pid) {
    this.#self = self
    this.#leader = leader
    // The link that group makes comes later, and never when it has died by then.
    self.monitor(leader)
  }

  /** Writes, a piece at a time. Rejects with `TerminalGone`. */
  async write(characters: string): Promise<void> {
    for (let at = 0; at < characters.length; at += MAX_CHARACTERS) {
      await this.#ask(tuple(atom('put_chars'), UNICODE, characters.slice(at, at + MAX_CHARACTERS)))
    }
  }

  /** Reads a line; undefined at the end of the input. */
  async readLine(prompt: string): Promise<Event<string | undefined>> {
    const event = await this.#ask(tuple(atom('get_line'), UNICODE, prompt))
    if (event.tag === 'interrupt') return event
    if (isTuple(event.value, 2) && atomName(event.value.elements[1]) === 'interrupted') return { tag: 'interrupt' }
    return { tag: 'done', value: text(event.value) }
  }

  /** Columns of the terminal; undefined when it does not tell. */
  async columns(): Promise<number | undefined> {
    const event = await this.#ask(tuple(atom('get_geometry'), atom('columns')))
    return event.tag === 'done' && typeof event.value === 'number' ? event.value : undefined
  }

  /** Waits for a promise of this node, or for Ctrl+C. */
  async settled<T>(promise: Promise<T>): Promise<Event<T>> {
    const { pid, runtime } = this.#self
    const settled = new Settled()
    const tell = (): void => runtime.send(pid, settled)
    promise.then(tell, tell)
    const isInterrupted = await this.#until((message) => message === settled)
    return isInterrupted ? { tag: 'interrupt' } : { tag: 'done', value: await promise }
  }

  async #ask(request: unknown): Promise<Event<unknown>> {
    const ref = this.#self.makeRef()
    this.#self.send(this.#leader, tuple(IO_REQUEST, this.#self.pid, ref, request))
    let reply: unknown
    const isInterrupted = await this.#until((message) => {
      if (!isTuple(message, 3) || atomName(message.elements[0]) !== 'io_reply') return false
      const [, to, value] = message.elements
      reply = value
      return to instanceof Ref && ref.equals(to)
    })
    return isInterrupted ? { tag: 'interrupt' } : { tag: 'done', value: reply }
  }

  /** Takes messages until one is the right one; true when Ctrl+C came before. */
  async #until(isRight: (message: unknown) => boolean): Promise<boolean> {
    for (;;) {
      const message = await this.#self.receive()
      if (isRight(message)) return false
      if (isExitMessage(message)) {
        if (message.reason === INTERRUPT) return true
        throw new TerminalGone(`the terminal has ended: ${String(message.reason)}`)
      }
      if (isDownMessage(message)) throw new TerminalGone('the terminal has ended')
    }
  }
}

/** Sent to the process itself. */
class Settled {}
