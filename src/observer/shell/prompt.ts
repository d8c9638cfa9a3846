/**
 * The prompt, on node:repl: lines, keys, history and completion are its; what a line means is evaluator.ts.
 *
 * node:repl handles interrupts only for code that it runs itself, so both are replaced here. While code runs, the terminal is out
 * of raw mode, so that Ctrl+C is a signal that ends even a busy loop; while something is awaited, Ctrl+C leaves it. Lines that
 * are typed ahead wait for the one that runs.
 */
import { type REPLServer, Recoverable, start } from 'node:repl'
import type { ReadStream, WriteStream } from 'node:tty'
import { distributionOf } from '../../dist/distribution.ts'
import { type PrintOptions, print } from '../print/print.ts'
import { Session, type SessionOptions } from '../session.ts'
import { complete, NodeWords } from './completion.ts'
import { Evaluator, type Outcome } from './evaluator.ts'
import { historyFile, useHistory } from './history.ts'
import { promptNames } from './names.ts'
import { errorText, outcomeText } from './outcome-text.ts'

export interface PromptOptions {
  readonly session: Omit<SessionOptions, 'confirm'>
  readonly input: NodeJS.ReadableStream & Partial<Pick<ReadStream, 'setRawMode' | 'isTTY'>>
  readonly output: NodeJS.WritableStream & Partial<Pick<WriteStream, 'columns' | 'isTTY'>>
  /** Begins the line that is shown first. */
  readonly greeting: string
  /** Where the history is kept. */
  readonly home: string
  /** Changes are made without asking. */
  readonly yes: boolean
  /** What leaving means, for people. @default Ctrl+D leaves, the node stays */
  readonly leaving?: string
}

const NARROWEST = 40
const DEFAULT_COLUMNS = 120

const LEAVING = 'Ctrl+D leaves, the node stays'

export class Prompt {
  /** Resolves when the user has left. */
  readonly ended: Promise<void>
  readonly session: Session
  readonly #options: PromptOptions
  readonly #evaluator: Evaluator
  readonly #repl: REPLServer
  /** Of what runs; undefined while nothing does. */
  #running: AbortController | undefined
  /** Settles when all lines so far have been answered. */
  #answered: Promise<void> = Promise.resolve()

  /**
   * Shows what the node is, and a prompt. Rejects with `ObserverError` when the node does not answer, and has then shown
   * nothing.
   */
  static async start(options: PromptOptions): Promise<Prompt> {
    let prompt: Prompt | undefined
    const confirm = (question: string): Promise<boolean> => prompt?.confirm(question) ?? Promise.resolve(false)
    const session = new Session({ ...options.session, confirm })
    try {
      options.output.write(await bannerOf(session, options))
    } catch (error) {
      await session.close()
      throw error
    }
    const file = options.input.isTTY === true ? await historyFile(options.home, session.node) : undefined
    prompt = new Prompt(options, session)
    await useHistory(prompt.#repl, file)
    return prompt
  }

  private constructor(options: PromptOptions, session: Session) {
    const { input, output } = options
    this.#options = options
    this.session = session
    this.#evaluator = new Evaluator({
      names: promptNames(session, () => this.#printOptions()),
      log: (text) => void output.write(`${text}\n`),
      print: (value) => print(value, this.#printOptions()),
    })
    const words = new NodeWords(this.session)
    const vocabulary = {
      names: () => this.#evaluator.names,
      lookUp: (path: readonly string[]) => this.#evaluator.lookUp(path),
      pids: () => this.session.pids.seen,
      words: () => words.words(),
    }
    this.#repl = start({
      prompt: this.#promptText(),
      input,
      output,
      terminal: input.isTTY === true && output.isTTY === true,
      preview: false,
      eval: (source, _context, _file, answer) => this.#evaluate(source, answer),
      writer: (outcome: Outcome) => outcomeText(outcome, this.#printOptions()),
      completer: (line: string, answer: (error: Error | null, result: [string[], string]) => void) => {
        void complete(line, vocabulary).then(({ candidates, fragment }) => answer(null, [candidates, fragment]))
      },
    })
    this.#repl.removeAllListeners('SIGINT')
    this.#repl.on('SIGINT', () => this.#interrupt())
    this.#defineCommands()
    this.#tellOfNodes()
    this.ended = new Promise((resolve) => {
      this.#repl.once('exit', () => {
        // What comes from a pipe is answered to its end.
        if (input.isTTY === true) this.#running?.abort()
        resolve(this.#answered.then(() => this.session.close()))
      })
    })
  }

  /** Ends it, as Ctrl+D does. */
  close(): void {
    this.#repl.close()
  }

  /** A line that nobody asked for, above what is being typed. */
  notice(text: string): void {
    const isTyping = this.#options.output.isTTY === true
    this.#options.output.write(`${isTyping ? '\r\x1b[K' : ''}${text}\n`)
    if (isTyping && this.#running === undefined) this.#repl.displayPrompt(true)
  }

  #promptText(): string {
    return `(${this.session.node})${this.#evaluator.results.next}> `
  }

  #printOptions(): PrintOptions {
    const { columns = DEFAULT_COLUMNS } = this.#options.output
    return {
      columns: Math.max(NARROWEST, columns),
      pid: (pid) => this.session.pids.write(pid),
      charlists: this.session.isErlang,
    }
  }

  #evaluate(source: string, answer: (error: Error | null, outcome?: Outcome) => void): void {
    if (source.trim() === '') {
      answer(null)
      return
    }
    if (this.#evaluator.isIncomplete(source)) {
      answer(new Recoverable(new SyntaxError('incomplete')))
      return
    }
    this.#answered = this.#answered.then(async () => {
      this.#running = new AbortController()
      const outcome = await this.#interruptible(source, this.#running.signal)
      this.#running = undefined
      this.#repl.setPrompt(this.#promptText())
      answer(null, outcome)
    })
  }

  #interruptible(source: string, signal: AbortSignal): Promise<Outcome> {
    const { input } = this.#options
    const ignore = (): void => {}
    process.on('SIGINT', ignore)
    if (input.isTTY) input.setRawMode?.(false)
    // Code that awaits nothing has run to its end when this returns.
    const outcome = this.#evaluator.evaluate(source, signal)
    if (input.isTTY) input.setRawMode?.(true)
    process.off('SIGINT', ignore)
    return outcome
  }

  /** Ctrl+C. */
  #interrupt(): void {
    if (this.#running !== undefined) {
      this.#running.abort()
      return
    }
    const isEmpty = this.#repl.line === ''
    this.#repl.write(null, { ctrl: true, name: 'e' })
    this.#options.output.write(isEmpty ? `\n(${this.#options.leaving ?? LEAVING})\n` : '^C\n')
    this.#repl.clearBufferedCommand()
    this.#repl.write(null, { ctrl: true, name: 'u' })
    this.#repl.displayPrompt()
  }

  /** Asks the user; without an answer it is no. */
  confirm(question: string): Promise<boolean> {
    if (this.#options.yes) return Promise.resolve(true)
    const signal = this.#running?.signal
    return new Promise((resolve) => {
      signal?.addEventListener('abort', () => resolve(false), { once: true })
      this.#repl.question(`${question}. Really? (y/N) `, signal === undefined ? {} : { signal }, (answer) => {
        resolve(/^\s*y(?:es)?\s*$/i.test(answer))
      })
    })
  }

  #defineCommands(): void {
    const first = this.session.node
    const look = (node: string): void => {
      this.session.node = node
      this.#repl.setPrompt(this.#promptText())
      this.#repl.displayPrompt()
    }
    const run = (source: string): void => void this.#repl.write(`${source}\n`)
    this.#repl.defineCommand('connect', {
      help: 'Look at another node from here on',
      action: (name) => {
        const node = this.session.nodeName(name.trim())
        void this.session.sourceOf(node).then(
          () => look(node),
          (error: unknown) => {
            this.#options.output.write(`** ${errorText(error)}\n`)
            this.#repl.displayPrompt()
          },
        )
      },
    })
    this.#repl.defineCommand('local', {
      help: 'Look at the node again with which the session began',
      action: () => look(first),
    })
    this.#repl.defineCommand('nodes', {
      help: 'The nodes, visible and hidden',
      action: () => run("nodes('connected')"),
    })
    this.#repl.defineCommand('clear', { help: 'Forget all variables', action: () => run('f()') })
  }

  #tellOfNodes(): void {
    const unsubscribe = distributionOf(this.session.runtime)?.subscribe((event) => {
      if (event.node !== this.session.node) return
      this.notice(
        event.tag === 'nodeup' ? `** ${event.node} is there again` : `** ${event.node} is gone: ${event.reason}`,
      )
    })
    if (unsubscribe !== undefined) this.session.atEnd(unsubscribe)
  }
}

async function bannerOf(session: Session, { greeting, leaving = LEAVING }: PromptOptions): Promise<string> {
  const { product } = await session.sourceOf(session.node)
  const who =
    session.runtime.node.name === session.node ? '' : `, looked at by the hidden node ${session.runtime.node.name}`
  return `${greeting}: ${session.node}, ${product}${who}\nhelp() lists commands, ${leaving}\n`
}
