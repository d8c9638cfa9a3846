/**
 * mosquitto_pub and mosquitto_sub of the Debian package mosquitto-clients, as foreign clients in tests.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Address } from './raw-client.ts'

/** The values of `-V`. */
export type MosquittoVersion = 'mqttv31' | 'mqttv311' | 'mqttv5'

const where = ({ host, port }: Address): string[] => ['-h', host, '-p', String(port)]

/** Runs mosquitto_pub to its end; rejects with what it wrote when it fails. */
export async function mosquittoPub(
  address: Address,
  version: MosquittoVersion,
  args: readonly string[],
  input?: Buffer,
): Promise<void> {
  const child = spawn('mosquitto_pub', [...where(address), '-V', version, ...args])
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  child.stdin.end(input)
  const code = await new Promise((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`mosquitto_pub ended with ${code}: ${errors}`)
}

/** A running mosquitto_sub; stdbuf makes it report each line at once. */
export class MosquittoSub {
  readonly #child: ChildProcess
  readonly #messages: string[] = []
  #wake: (() => void) | undefined
  #isSubscribed = false
  #hasEnded = false
  #output = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#onLine(line))
    }
    child.once('exit', () => {
      this.#hasEnded = true
      this.#wake?.()
    })
  }

  /** Starts mosquitto_sub and waits for its SUBACK. Each message is reported as `format`. */
  static async start(
    address: Address,
    version: MosquittoVersion,
    format: string,
    args: readonly string[],
  ): Promise<MosquittoSub> {
    const all = [...where(address), '-V', version, '-d', '-F', `MESSAGE ${format}`, ...args]
    const sub = new MosquittoSub(spawn('stdbuf', ['-oL', 'mosquitto_sub', ...all]))
    await sub.#until(() => sub.#isSubscribed)
    return sub
  }

  #onLine(line: string): void {
    this.#output += `${line}\n`
    if (line.startsWith('MESSAGE ')) this.#messages.push(line.slice('MESSAGE '.length))
    if (line.startsWith('Subscribed')) this.#isSubscribed = true
    this.#wake?.()
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#hasEnded) throw new Error(`mosquitto_sub ended: ${this.#output}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** The next message, as formatted. */
  async message(): Promise<string> {
    await this.#until(() => this.#messages.length > 0)
    return this.#messages.shift() ?? ''
  }

  /** Ends it: with DISCONNECT ('SIGTERM') or by cutting its connection ('SIGKILL'). */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.#hasEnded) return
    await new Promise((resolve) => {
      this.#child.once('exit', resolve)
      this.#child.kill(signal)
    })
  }
}
