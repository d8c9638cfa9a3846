/**
 * Puts one fault after the other into the broker, runs schedules of clusters, or tests, and prints what caught each: `npm run faults`. See docs/simulation.md.
 */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { type Fault, problemsOf } from './fault.ts'
import { FAULTS } from './list.ts'
import { type Caught, MAX_WORDS, runSeeds } from './seeds.ts'
import { tableOf } from './table.ts'
import { firstFailure } from './tests.ts'

interface Options {
  readonly seeds: number
  readonly first: number
  readonly most: number
  readonly enough: number
  readonly only: string
  readonly tests: readonly string[]
  readonly known: boolean
  readonly table: boolean
  readonly jobs: number
  readonly boundSec: number
}

/** What a fault has come to: a cell of the table that is printed, and how many caught it. */
interface Outcome {
  readonly words: string
  readonly failures: number
  readonly runs: number
}

/** Tests take longer than schedules. */
const TESTS_BOUND_SEC = 600

const BROKER = new URL('../../src/broker/', import.meta.url)

const number = (text: string) => Number(text)
const options = new Command()
  .description(
    'Runs schedules of clusters, or tests, with deliberate faults in the broker, and prints what caught each.',
  )
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
  .option('--tests <files...>', 'test files or folders instead of schedules, until one of the tests fails', [])
  .option('--known', 'only what is known to catch each fault; fails when that does not', false)
  .option('--table', 'runs nothing: prints what is known to catch each', false)
  .option('--jobs <number>', 'processes at a time', number, 2)
  .option('--bound-sec <seconds>', 'a schedule that takes longer has failed', number, 60)
  .parse()
  .opts<Options>()

const faults = FAULTS.filter(({ what, caughtBy }) => {
  return what.includes(options.only) && !(options.known && caughtBy === undefined)
})
const problems = faults.flatMap((fault) => problemsOf(fault, (file) => readFileSync(new URL(file, BROKER), 'utf8')))
if (problems.length > 0) throw new Error(problems.join('\n'))

// What runs the tests ends with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const found = new Map<Fault, Outcome>()
const waiting = options.table ? [] : [...faults]
await Promise.all(Array.from({ length: options.jobs }, work))
if (options.table) console.log(tableOf(faults))
else print()

async function work(): Promise<void> {
  for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
    try {
      const outcome = await outcomeOf(fault)
      found.set(fault, outcome)
      console.error(`${fault.what}: ${outcome.words}`)
      if (options.known && outcome.failures === 0) process.exitCode = 1
    } catch (error) {
      console.error(error)
      process.exitCode = 1
    }
  }
}

function outcomeOf(fault: Fault): Promise<Outcome> {
  const { caughtBy } = fault
  if (options.tests.length > 0) return byTests(fault, options.tests)
  if (!options.known || caughtBy === undefined) return bySchedules(fault, options)
  if (typeof caughtBy === 'number') return bySchedules(fault, { first: caughtBy, seeds: 1, most: 0, enough: 1 })
  const [file, title] = caughtBy.split(/: (.*)/s)
  return byTests(fault, [file!], title)
}

async function bySchedules(
  fault: Fault,
  { first, seeds, most, enough }: Pick<Options, 'first' | 'seeds' | 'most' | 'enough'>,
): Promise<Outcome> {
  const caught: Caught = { ran: 0, failed: [], hung: 0 }
  const { boundSec } = options
  await runSeeds(fault, { first, last: first + seeds - 1, enough, boundSec }, caught)
  if (caught.failed.length === 0) {
    await runSeeds(fault, { first: first + seeds, last: first + most - 1, enough: 1, boundSec }, caught)
  }
  return { words: wordsOf(caught, seeds), failures: caught.failed.length, runs: caught.ran }
}

async function byTests(fault: Fault, files: readonly string[], title?: string): Promise<Outcome> {
  const failure = await firstFailure(fault, files, TESTS_BOUND_SEC, title)
  if (failure === undefined) return { words: 'no test', failures: 0, runs: 1 }
  console.error(`${fault.what}: ${failure.message.slice(0, MAX_WORDS)}`)
  return { words: failure.test, failures: 1, runs: 1 }
}

function wordsOf({ ran, failed, hung }: Caught, seeds: number): string {
  if (failed.length === 0) return `0 of ${ran}`
  if (ran > seeds) return `0, but seed ${failed[0]}`
  return [failed.length, ran < seeds ? ` of ${ran}` : '', hung > 0 ? `, ${hung} without end` : ''].join('')
}

function print(): void {
  console.log('| fault | caught by |\n| --- | --- |')
  const rows = [...found].sort(([, a], [, b]) => b.failures - a.failures || a.runs - b.runs)
  for (const [{ what }, { words }] of rows) console.log(`| ${what} | ${words} |`)
}
