/** A program in a real pseudo terminal, by tmux: keys go in, what is on the screen comes out; all ends with the test. */
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { onTestFailed, onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'

const run = promisify(execFile)

/** True when there is a tmux to test with. */
export const hasTmux: boolean = (() => {
  try {
    execFileSync('sh', ['-c', 'command -v tmux'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly columns?: number
  readonly rows?: number
}

// Told by a shell of our own: tmux can miss the end of a program, and would then never say how it ended.
const TELL_STATUS = 'trap : INT; "$@"; printf "\\n[status %s]\\n" "$?"; exec cat >/dev/null'

let terminals = 0

export class Terminal {
  readonly #socket: string

  private constructor(socket: string) {
    this.#socket = socket
  }

  /** Starts a program; the terminal stays when it has ended, and shows `[status n]`. */
  static async start(
    command: readonly string[],
    { env = {}, columns = 100, rows = 40 }: TerminalOptions = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(`agner-test-${process.pid}-${++terminals}`)
    onTestFinished(() => terminal.#tmux('kill-server').then(undefined, () => {}))
    const settings = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`])
    const size = ['-x', String(columns), '-y', String(rows)]
    await terminal.#tmux(
      ...['-f', '/dev/null', 'new-session', '-d', ...size, ...settings],
      ...['sh', '-c', TELL_STATUS, 'sh', ...command],
    )
    let last = ''
    onTestFailed(() => console.error(last))
    terminal.screen = async () => {
      last = (await terminal.#tmux('capture-pane', '-p', '-J', '-S', '-200')).replace(/\s+$/, '')
      return last
    }
    return terminal
  }

  /** What is on the screen, and what has left it at the top. */
  screen: () => Promise<string> = async () => ''

  /** Types text as it is. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', text)
  }

  /** Presses keys by tmux's names for them: Enter, Tab, C-c. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys)
  }

  /** Types a line. */
  async line(text: string): Promise<void> {
    await this.type(text)
    await this.press('Enter')
  }

  /** Resolves with the screen when it shows this. */
  async shows(wanted: RegExp | string, { withinMs = 15_000 } = {}): Promise<string> {
    return eventually(
      async () => {
        const screen = await this.screen()
        const isThere = typeof wanted === 'string' ? screen.includes(wanted) : wanted.test(screen)
        if (!isThere) throw new Error(`not on the screen: ${wanted}`)
        return screen
      },
      { withinMs },
    )
  }

  async #tmux(...args: string[]): Promise<string> {
    return (await run('tmux', ['-L', this.#socket, ...args])).stdout
  }
}
