/** Every statement that needs several nodes, on our tables and on Mnesia. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HAS_ERL } from '../../support/erl-terms.ts'
import { runOnOurCluster } from './cluster-ours.ts'
import { CLUSTER_STATEMENTS } from './cluster-statements.ts'
import { RealCluster } from './real.ts'

const told = (results: readonly unknown[]): unknown[] => results.filter((result) => result !== 'ok')

describe('our tables on several nodes', () => {
  it.each(CLUSTER_STATEMENTS)('$of: $says', async ({ program, gives, ours }) => {
    expect(told(await runOnOurCluster(program))).toEqual(ours ?? gives)
  })
})

describe.skipIf(!HAS_ERL)('Mnesia on several nodes', () => {
  let mnesia: RealCluster
  beforeAll(async () => {
    mnesia = await RealCluster.start()
  })
  afterAll(() => mnesia.stop())

  it.each(CLUSTER_STATEMENTS)('$of: $says', async ({ program, gives }) => {
    expect(told(await mnesia.run(program))).toEqual(gives)
  })
})
