/**
 * Puts one fault after the other into the broker and runs schedules of clusters, and prints how many caught each: `npm run faults`. See docs/simulation.md.
 *
 * Each fault has a process of its own. A schedule that takes too long, or ends its process, has failed too; the next one has another process then.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { type Fault, problemsOf } from './fault.ts'
import { FAULTS } from './list.ts'
import type { Ran } from './schedules.ts'

interface Options {
  readonly seeds: number
  readonly first: number
  readonly most: number
  readonly enough: number
  readonly only: string
  readonly jobs: number
  readonly boundSec: number
}

/** What schedules have found. */
interface Caught {
  ran: number
  readonly failed: number[]
  hung: number
}

/** So many that hang say enough of a fault: each takes its full time. */
const MAX_HUNG = 3
/** Of a failure, as it is shown. */
const MAX_WORDS = 240

const BROKER = new URL('../../src/broker/', import.meta.url)
const SCHEDULES = fileURLToPath(new URL('./schedules.ts', import.meta.url))
const PUT_IN = new URL('./put-in.mjs', import.meta.url).href

const number = (text: string) => Number(text)
const options = new Command()
  .description('Runs schedules of clusters with deliberate faults in the broker, and prints how many caught each.')
  .option('--seeds <number>', 'schedules for each fault', number, 40)
  .option('--first <seed>', 'the first seed', number, 1)
  .option('--most <number>', 'schedules for a fault that those have not caught, until one does', number, 0)
  .option(
    '--enough <number>',
    'no more schedules for a fault when so many have caught it',
    number,
    Number.POSITIVE_INFINITY,
  )
  .option('--only <words>', 'faults whose description has these words', '')
  .option('--jobs <number>', 'processes at a time', number, 2)
  .option('--bound-sec <seconds>', 'a schedule that takes longer has failed', number, 60)
  .parse()
  .opts<Options>()

const faults = FAULTS.filter(({ what }) => what.includes(options.only))
const problems = faults.flatMap((fault) => problemsOf(fault, (file) => readFileSync(new URL(file, BROKER), 'utf8')))
if (problems.length > 0) throw new Error(problems.join('\n'))

const found = new Map<Fault, Caught>()
const waiting = [...faults]
await Promise.all(Array.from({ length: options.jobs }, work))
print()

async function work(): Promise<void> {
  for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
    const caught: Caught = { ran: 0, failed: [], hung: 0 }
    const { first, seeds, most, enough } = options
    try {
      await runSeeds(fault, first, first + seeds - 1, caught, enough)
      if (caught.failed.length === 0) await runSeeds(fault, first + seeds, first + most - 1, caught, 1)
    } catch (error) {
      console.error(error)
      process.exitCode = 1
      continue
    }
    found.set(fault, caught)
    console.error(`${fault.what}: ${wordsOf(caught)}`)
  }
}

/** Until `enough` have failed. */
async function runSeeds(fault: Fault, first: number, last: number, caught: Caught, enough: number): Promise<void> {
  let next = first
  while (next <= last && caught.failed.length < enough && caught.hung < MAX_HUNG) {
    next = await runSome(fault, next, last, caught, enough)
  }
}

/** Runs seeds in one process, for as long as that lasts; resolves with the next seed. */
function runSome(
  { what, changes }: Fault,
  first: number,
  last: number,
  caught: Caught,
  enough: number,
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
  let timer = bound(child)
  child.on('message', ({ failure }: Ran) => {
    clearTimeout(timer)
    ran(failure)
    if (caught.failed.length >= enough) child.kill('SIGKILL')
    else timer = bound(child)
  })
  return new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (next > last || caught.failed.length >= enough) resolve(next)
      else if (signal === 'SIGKILL') {
        caught.hung += 1
        ran(`seed ${next}: no end after ${options.boundSec} s`)
        resolve(next)
      } else if (caught.ran === 0) reject(new Error(`${what}: the process ended with ${code ?? signal}`))
      else {
        ran(`seed ${next}: the process ended with ${code ?? signal}`)
        resolve(next)
      }
    })
  })
}

function bound(child: ChildProcess): NodeJS.Timeout {
  return setTimeout(() => child.kill('SIGKILL'), options.boundSec * 1000)
}

/** The cell of the table in docs/simulation.md. */
function wordsOf({ ran, failed, hung }: Caught): string {
  const { seeds } = options
  if (failed.length === 0) return `0 of ${ran}`
  if (ran > seeds) return `0, but seed ${failed[0]}`
  return [failed.length, ran < seeds ? ` of ${ran}` : '', hung > 0 ? `, ${hung} without end` : ''].join('')
}

function print(): void {
  console.log('| fault | caught by |\n| --- | --- |')
  const rows = [...found].sort(([, a], [, b]) => b.failed.length - a.failed.length || a.ran - b.ran)
  for (const [{ what }, caught] of rows) console.log(`| ${what} | ${wordsOf(caught)} |`)
}
