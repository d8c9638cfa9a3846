/**
 * Holds the list of normative statements, the names of the tests and the published table together.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { conformanceTable, STANDARDS, testFilesById } from './statements.ts'

describe.each(STANDARDS)('the statements of $title', (standard) => {
  test('each have a test that names them, or a reason why none can', () => {
    const files = testFilesById(standard)
    const missing = standard.statements.filter(({ id, untested }) => !files.has(id) && untested === undefined)
    expect(missing.map(({ id }) => id)).toEqual([])
  })

  test('have no reason against a test when a test is there', () => {
    const files = testFilesById(standard)
    const both = standard.statements.filter(({ id, untested }) => files.has(id) && untested !== undefined)
    expect(both.map(({ id }) => id)).toEqual([])
  })

  test('are the only ones that tests name', () => {
    const known = new Set(standard.statements.map(({ id }) => id))
    expect([...testFilesById(standard).keys()].filter((id) => !known.has(id))).toEqual([])
  })

  test('are listed once each', () => {
    const ids = standard.statements.map(({ id }) => id)
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
  })
})

test('docs/mqtt-conformance.md is what the statements and the tests say', () => {
  const published = readFileSync(new URL('../../docs/mqtt-conformance.md', import.meta.url), 'utf8')
  expect(published).toBe(conformanceTable())
})
