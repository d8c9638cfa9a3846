/**
 * The load generator's own checks: figures of a broker that loses messages would be worth nothing, so it must notice.
 * It runs against the bench's relay, once as it is and once with each fault that the relay can be given.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildLoadgen, type Round, runLoadgen } from '../../bench/mqtt/loadgen.ts'

const compiler = spawnSync(process.env.CC ?? 'cc', ['--version'])

/** A port on which nothing listens now. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return address !== null && typeof address === 'object' ? address.port : 0
}

describe.skipIf(compiler.error !== undefined)('the load generator', () => {
  let binary = ''
  let relay: ChildProcess | undefined

  beforeAll(() => {
    binary = buildLoadgen()
  }, 60_000)

  afterEach(() => {
    relay?.kill()
    relay = undefined
  })

  /** Runs the generator against a relay with the fault given. */
  async function run(fault: string | undefined, ...args: string[]): Promise<Round> {
    const port = await freePort()
    const script = new URL('../../bench/mqtt/relay-server.mjs', import.meta.url).pathname
    relay = spawn(process.execPath, [script, String(port), ...(fault === undefined ? [] : [fault])], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => relay?.stdout?.once('data', resolve))
    return await runLoadgen(binary, args, { port, pids: [relay.pid ?? 0], cpu: undefined, timeoutMs: 30_000 })
  }

  const BRIEF = ['--warmup', '0', '--seconds', '0.2', '--settle', '0']

  it('finds nothing wrong with a broker that delivers every message once and in order', async () => {
    const { figures, fault } = await run(undefined, 'traffic', '--publishers', '3', '--subscribers', '4', ...BRIEF)
    expect(fault).toBeUndefined()
    expect(figures.deliveriesInAll).toBeGreaterThan(0)
    expect(figures.brokerUsPerOperation).toBeGreaterThan(0)
  })

  it.each([
    ['lose', 'lost'],
    ['double', 'doubled'],
    ['swap', 'outOfOrder'],
  ])('notices a broker that has the fault %s', async (fault, figure) => {
    const round = await run(fault, 'traffic', '--subscribers', '4', ...BRIEF)
    expect(round.figures[figure]).toBeGreaterThan(0)
    expect(round.fault).toContain(figure)
    const others = ['lost', 'doubled', 'outOfOrder', 'foreign', 'damaged'].filter((name) => name !== figure)
    expect(others.map((name) => round.figures[name])).toEqual([0, 0, 0, 0])
  })

  it('notices samples that a subscriber does not get right after its SUBACK', async () => {
    const args = ['subscribe', '--filters', '2000', '--clients', '10', '--settle', '0', '--patience', '0.5']
    expect((await run(undefined, ...args)).figures).toMatchObject({ samplesDelivered: 1000, afterUnsuback: 0 })
    relay?.kill()
    expect((await run('lose', ...args)).figures).toMatchObject({ samplesDelivered: 999, lost: 1 })
  })

  it('counts every connection that still answers in the end', async () => {
    const { figures, fault } = await run(undefined, 'connect', '--connections', '300', '--settle', '0')
    expect(fault).toBeUndefined()
    expect(figures.connections).toBe(300)
  })

  it('says what the broker did when it has no figures', async () => {
    // The relay knows no QoS: it closes a connection that acknowledges.
    const { fault } = await run(undefined, 'traffic', '--qos', '1', ...BRIEF)
    expect(fault).toMatch(/asked for QoS 1 and got 0/)
  })
})
