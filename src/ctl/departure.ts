/** After `stop` and `restart`, from outside: waits until the node is gone, and is there again. */
import type { Runtime } from '../actors/runtime.ts'
import * as rpc from '../dist/rpc.ts'
import type { Node } from '../dist/start-node.ts'
import { CTL_MODULE } from './server.ts'

/** How long a node may take to stop: its clients take their leave, its tables get to the disc. */
const STOP_MS = 60_000
const RESTART_MS = 120_000
const PAUSE_MS = 200

/** A connected node that is about to go. To be made before it is told to. */
export class Departure {
  readonly #observer: Pick<Node, 'runtime' | 'distribution'>
  readonly #node: string
  #isGone = false
  #onGone: (() => void) | undefined

  constructor(observer: Pick<Node, 'runtime' | 'distribution'>, node: string) {
    this.#observer = observer
    this.#node = node
    observer.distribution.subscribe((event) => {
      if (event.tag !== 'nodedown' || event.node !== node) return
      this.#isGone = true
      this.#onGone?.()
    })
  }

  /** Resolves with the sentence that says what has not happened in time; undefined when the node is gone. */
  async gone(): Promise<string | undefined> {
    const { timers } = this.#observer.runtime
    await new Promise<void>((resolve) => {
      if (this.#isGone) return resolve()
      const timer = timers.set(STOP_MS, resolve)
      this.#onGone = () => {
        timers.clear(timer)
        resolve()
      }
    })
    return this.#isGone ? undefined : `${this.#node} is still there after ${STOP_MS / 1000} seconds`
  }

  /** Likewise; undefined when it has started again. */
  async back(): Promise<string | undefined> {
    const { runtime, distribution } = this.#observer
    const untilMs = runtime.clock.monotonic() + RESTART_MS
    while (runtime.clock.monotonic() < untilMs) {
      if ((await distribution.connect(this.#node)) && (await answers(runtime, this.#node))) return undefined
      await new Promise<void>((resolve) => void runtime.timers.set(PAUSE_MS, resolve))
    }
    return `${this.#node} has stopped, and has not come back within ${RESTART_MS / 1000} seconds`
  }
}

/** Connected is not started: its commands come last. */
async function answers(runtime: Runtime, node: string): Promise<boolean> {
  return (await rpc.call(runtime, node, CTL_MODULE, 'run', [['ping']], STOP_MS)).ok
}
