/** The deliberate faults can be put into the broker as it is. What catches them is for `npm run faults`. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { problemsOf } from './fault.ts'
import { FAULTS } from './list.ts'
import { tableOf } from './table.ts'

const text = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
const read = (file: string) => text(`src/broker/${file}`)

it.each(FAULTS)('the place of a deliberate fault is there: $what', (fault) => {
  expect(problemsOf(fault, read)).toEqual([])
})

it('no two faults have the same name', () => {
  expect(new Set(FAULTS.map(({ what }) => what)).size).toBe(FAULTS.length)
})

it('it is known of each what catches it', () => {
  expect(FAULTS.filter(({ caughtBy }) => caughtBy === undefined).map(({ what }) => what)).toEqual([])
})

it('docs/simulation.md says what catches each', () => {
  const docs = text('docs/simulation.md')
  expect(
    tableOf(FAULTS)
      .split('\n')
      .filter((row) => !docs.includes(row)),
  ).toEqual([])
})

it('the tests that catch them are there', () => {
  const missing = FAULTS.flatMap(({ caughtBy }) => {
    if (typeof caughtBy !== 'string') return []
    const [file, title] = caughtBy.split(/: (.*)/s)
    // What a title takes from a table stands behind a % there.
    const titles = [...text(file!).matchAll(/'([^'\n]+)'/g)].map((each) => each[1]!.split(/%[a-z]/))
    const isThere = titles.some((parts) => title!.endsWith(parts.at(-1)!) && title!.includes(parts[0]!))
    return isThere ? [] : [caughtBy]
  })
  expect(missing).toEqual([])
})
