/** Peers that do not read, of Erlang and of ours: senders wait, what waits is bounded, and nobody else notices. */
import { describe, expect, it } from 'vitest'
import type { Process } from '../../src/actors/process.ts'
import type { NodedownReason } from '../../src/dist/connection.ts'
import { ping } from '../../src/dist/net-adm.ts'
import { connectNode } from '../../src/dist/net-kernel.ts'
import { OUTBOX_LIMITS } from '../../src/dist/outbox.ts'
import { tuple } from '../../src/dist/term.ts'
import { startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { OurNode } from '../support/fault-cluster.ts'
import { type TestNode, testEpmd, testNode } from '../support/node.ts'
import { ERL, OURS } from '../support/pair.ts'

const OTHER = 'other@127.0.0.1'
const KIB = 1024
const SENDS_AT_ONCE = 100
/** What a process sends before it can be suspended, with what frames take beside their messages. */
const ONE_TURN_BYTES = SENDS_AT_ONCE * 2 * KIB

interface Frozen {
  readonly name: string
  signal(signal: NodeJS.Signals): void
}

const PEERS: readonly (readonly [string, (epmdPort: number) => Promise<Frozen>])[] = [
  [
    'Erlang',
    async (epmdPort) => {
      const erl = await startErl({ name: ERL, epmdPort, flags: ['-kernel', 'net_ticktime', '4'] })
      return { name: ERL, signal: (signal) => erl.kill(signal) }
    },
  ],
  ['ours', (epmdPort) => OurNode.start({ name: ERL, epmdPort, join: [] })],
]

/** A process that sends numbered messages of a KiB as fast as it may; `sent` and `most`, the most bytes that waited, are what it notes. */
function sender(
  from: TestNode,
  to: string,
  count: number,
): { process: Process; sent: number; most: number; stop(): void } {
  const { runtime, distribution } = from
  const body = Buffer.alloc(KIB)
  let isStopped = false
  const stop = (): void => {
    isStopped = true
  }
  const notes = { process: runtime.init, sent: 0, most: 0, stop }
  const pid = runtime.spawn({
    create: (self) => ({
      receive: () => {
        if (isStopped) return
        for (let i = 0; i < SENDS_AT_ONCE && notes.sent < count; i++) {
          self.send({ name: 'sink', node: to }, tuple(notes.sent++, body))
        }
        notes.most = Math.max(notes.most, distribution.peer(to)?.outbox.waitingBytes ?? 0)
        if (notes.sent < count) self.send(self.pid, 'more')
      },
    }),
  })
  notes.process = runtime.process(pid)!
  runtime.send(pid, 'more')
  return notes
}

describe.each(PEERS)('a peer of %s', (_kind, start) => {
  it('that has stopped suspends who sends to it, takes bounded memory, and is dropped after the tick time', async () => {
    const epmdPort = await testEpmd()
    const ours = await testNode(OURS, epmdPort, { netTicktimeMs: 4000 })
    await testNode(OTHER, epmdPort, { netTicktimeMs: 4000 })
    const peer = await start(epmdPort)
    for (const node of [peer.name, OTHER]) expect(await connectNode(ours.runtime, node)).toBe(true)
    const downs: [string, NodedownReason][] = []
    peer.signal('SIGSTOP')
    const flood = sender(ours, peer.name, 200_000)
    ours.distribution.subscribe((event) => {
      if (event.tag === 'nodedown') downs.push([event.node, event.reason])
      // Else it would dial again.
      flood.stop()
    })
    await eventually(() => flood.process.status === 'suspended')
    expect(ours.distribution.peer(peer.name)!.outbox.isBusy).toBe(true)
    const report = ours.logs.find((line) => line.report === 'busy_dist_port')
    expect(report).toMatchObject({ node: peer.name, process: `<${OURS}.${flood.process.pid.id}.0>` })
    let pongs = 0
    while (downs.length === 0) {
      expect(await ping(ours.runtime, OTHER)).toBe('pong')
      pongs++
    }
    expect(pongs).toBeGreaterThan(10)
    expect(downs).toEqual([[peer.name, 'net_tick_timeout']])
    expect(flood.sent).toBeLessThan(200_000)
    expect(flood.most).toBeGreaterThan(OUTBOX_LIMITS.busyBytes)
    expect(flood.most).toBeLessThan(OUTBOX_LIMITS.busyBytes + ONE_TURN_BYTES)
    await eventually(() => flood.process.status === 'waiting')
  })
})

describe('a peer of Erlang that goes on after it had stopped', () => {
  it('gets everything, in order', async () => {
    const epmdPort = await testEpmd()
    const ours = await testNode(OURS, epmdPort)
    const erl = await startErl({ name: ERL, epmdPort })
    const count = 50_000
    const told = erl.eval(`
      register(sink, self()),
      (fun F(${count}) -> all; F(N) -> receive {N, <<_:1024/binary>>} -> F(N + 1); X -> {unexpected, N, X} end end)(0)`)
    await eventually(async () => (await erl.eval('whereis(sink) =/= undefined')) === 'true')
    expect(await connectNode(ours.runtime, ERL)).toBe(true)
    erl.kill('SIGSTOP')
    const flood = sender(ours, ERL, count)
    await eventually(() => flood.process.status === 'suspended')
    erl.kill('SIGCONT')
    expect(await told).toBe('all')
    expect(flood.most).toBeLessThan(OUTBOX_LIMITS.busyBytes + ONE_TURN_BYTES)
  })
})
