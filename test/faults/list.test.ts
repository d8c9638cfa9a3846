/** The deliberate faults can be put into the broker as it is. What catches them is for `npm run faults`. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { problemsOf } from './fault.ts'
import { FAULTS } from './list.ts'

const read = (file: string) => readFileSync(new URL(`../../src/broker/${file}`, import.meta.url), 'utf8')

it.each(FAULTS)('the place of a deliberate fault is there: $what', (fault) => {
  expect(problemsOf(fault, read)).toEqual([])
})

it('no two faults have the same name', () => {
  expect(new Set(FAULTS.map(({ what }) => what)).size).toBe(FAULTS.length)
})
