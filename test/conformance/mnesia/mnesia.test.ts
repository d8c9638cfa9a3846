/** Every statement, on our tables and on Mnesia. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HAS_ERL } from '../../support/erl-terms.ts'
import { runOnOurs } from './ours.ts'
import { conformancePage } from './published.ts'
import { RealMnesia } from './real.ts'
import { STATEMENTS } from './statements.ts'

const told = (results: readonly unknown[]): unknown[] => results.filter((result) => result !== 'ok')
const shown = STATEMENTS.filter(({ program }) => program !== undefined)

describe('our tables', () => {
  it.each(shown)('$of: $says', async ({ program, gives, ours }) => {
    expect(told(await runOnOurs(program!))).toEqual(ours ?? gives)
  })
})

describe.skipIf(!HAS_ERL)('Mnesia', () => {
  let mnesia: RealMnesia
  beforeAll(async () => {
    mnesia = await RealMnesia.start()
  })
  afterAll(() => mnesia.stop())

  it.each(shown)('$of: $says', async ({ program, gives }) => {
    expect(told(await mnesia.run(program!))).toEqual(gives)
  })
})

it('docs/mnesia-conformance.md is what the statements say', () => {
  const published = readFileSync(new URL('../../../docs/mnesia-conformance.md', import.meta.url), 'utf8')
  expect(published).toBe(conformancePage())
})
