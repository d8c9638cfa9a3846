/**
 * Schedules of clusters with a deliberate fault in the broker.
 *
 * They run in a process of their own. A schedule that takes too long, or ends its process, has failed too; the next one has another process then.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Fault } from './fault.ts'
import type { Ran } from './schedules.ts'

/** What schedules have found. */
export interface Caught {
  ran: number
  readonly failed: number[]
  hung: number
}

export interface SeedRange {
  readonly first: number
  readonly last: number
  /** No more when so many have failed. */
  readonly enough: number
  readonly boundSec: number
}

/** So many that hang say enough of a fault: each takes its full time. */
const MAX_HUNG = 3
/** Of a failure, as it is shown. */
export const MAX_WORDS = 240

const SCHEDULES = fileURLToPath(new URL('./schedules.ts', import.meta.url))
const PUT_IN = new URL('./put-in.mjs', import.meta.url).href

/** Runs seeds, and adds to `caught` what they find. */
export async function runSeeds(fault: Fault, range: SeedRange, caught: Caught): Promise<void> {
  let next = range.first
  while (next <= range.last && caught.failed.length < range.enough && caught.hung < MAX_HUNG) {
    next = await runSome(fault, { ...range, first: next }, caught)
  }
}

/** Runs seeds in one process, for as long as that lasts; resolves with the next seed. */
function runSome(
  { what, changes }: Fault,
  { first, last, enough, boundSec }: SeedRange,
  caught: Caught,
): Promise<number> {
  const child = fork(SCHEDULES, {
    execArgv: ['--import', PUT_IN, '--import', 'tsx'],
    env: { ...process.env, FAULT: JSON.stringify(changes), FIRST: String(first), LAST: String(last) },
  })
  let next = first
  const ran = (failure: string | undefined) => {
    caught.ran += 1
    if (failure !== undefined) {
      if (caught.failed.length === 0) console.error(`${what}: ${failure.slice(0, MAX_WORDS)}`)
      caught.failed.push(next)
    }
    next += 1
  }
  let timer = bound(child, boundSec)
  child.on('message', ({ failure }: Ran) => {
    clearTimeout(timer)
    ran(failure)
    if (caught.failed.length >= enough) child.kill('SIGKILL')
    else timer = bound(child, boundSec)
  })
  return new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (next > last || caught.failed.length >= enough) resolve(next)
      else if (signal === 'SIGKILL') {
        caught.hung += 1
        ran(`seed ${next}: no end after ${boundSec} s`)
        resolve(next)
      } else if (caught.ran === 0) reject(new Error(`${what}: the process ended with ${code ?? signal}`))
      else {
        ran(`seed ${next}: the process ended with ${code ?? signal}`)
        resolve(next)
      }
    })
  })
}

function bound(child: ChildProcess, boundSec: number): NodeJS.Timeout {
  return setTimeout(() => child.kill('SIGKILL'), boundSec * 1000)
}
