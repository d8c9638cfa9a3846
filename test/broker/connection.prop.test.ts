import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connection } from '../../src/broker/connection/connection.ts'
import type { ProtocolVersion } from '../../src/broker/packet.ts'
import { simulate } from '../../src/testing/index.ts'
import { MemoryTransport } from '../support/memory-transport.ts'
import { bytesOf, FakeBroker } from './connection-harness.ts'
import { connectPacket, publishPacket } from './protocol-harness.ts'

type Step =
  | 'connect'
  | 'publish'
  | 'ping'
  | 'garbage'
  | 'disconnect'
  | 'half_close'
  | 'reset'
  | 'accept'
  | 'deliver'
  | 'stall'
  | 'drain'
  | 'session_close'
  | 'session_crash'
  | 'shutdown'
  | 'kill'
  | 'operator'
  | 'second'
  | 'minute'

const calm: Step[] = ['connect', 'connect', 'publish', 'ping', 'accept', 'deliver', 'stall', 'drain', 'second']
const ends: Step[] = [
  'garbage',
  'disconnect',
  'half_close',
  'reset',
  'session_close',
  'session_crash',
  'shutdown',
  'kill',
  'operator',
  'minute',
]
const steps = fc.array(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...calm) }, fc.constantFrom(...ends)), {
  maxLength: 15,
})

describe('whatever happens to a connection', () => {
  it('it ends with its socket, leaves no process and no timer, and lets its session go at most once', async () => {
    const run = fc.asyncProperty(
      fc.nat(),
      fc.constantFrom<ProtocolVersion[]>(3, 4, 5),
      steps,
      async (seed, version, sequence) => {
        const simulation = simulate({ seed })
        const runtime = simulation.node('a')
        const before = runtime.processes.count
        const broker = new FakeBroker(runtime, { slowConsumerMs: 5000, syncEveryMessages: 1, maxUnsynced: 1 })
        const accepts: (() => void)[] = []
        broker.authenticate = () => new Promise((resolve) => accepts.push(() => resolve({ outcome: 'accept' })))
        const transport = new MemoryTransport()
        const pid = runtime.spawn(connection(broker, transport))
        await simulation.run()
        const receive = (bytes: Buffer) => {
          // What is paused, ended or gone brings nothing.
          if (!transport.isPaused && !transport.isEnded && !transport.isDestroyed) transport.receive(bytes)
        }
        const message = {
          id: '',
          from: '',
          topic: 't',
          payload: Buffer.alloc(700),
          qos: 0 as const,
          retain: false,
          publishedAtMs: 0,
          expiresAtMs: Number.POSITIVE_INFINITY,
          properties: undefined,
        }
        const perform: Record<Step, () => unknown> = {
          connect: () => receive(bytesOf(version, connectPacket({ protocolVersion: version, keepalive: 10 }))),
          publish: () => receive(bytesOf(version, publishPacket())),
          ping: () => receive(bytesOf(version, { cmd: 'pingreq' })),
          garbage: () => receive(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])),
          disconnect: () => receive(bytesOf(version, { cmd: 'disconnect' })),
          half_close: () => transport.halfClose(),
          reset: () => transport.fail('ECONNRESET'),
          accept: () => accepts.shift()?.(),
          deliver: () =>
            broker.sessions.at(-1)?.out({
              cmd: 'publish',
              message,
              qos: 0,
              retain: false,
              dup: false,
              messageId: 0,
              ids: undefined,
            }),
          stall: () => {
            transport.isStalled = true
          },
          drain: () => transport.take(1_000_000),
          session_close: () => broker.sessions.at(-1)?.close(0x8e, 'taken over'),
          session_crash: () => broker.sessions.length > 0 && runtime.exit(broker.session.pid, 'crash'),
          shutdown: () => runtime.exit(pid, 'shutdown'),
          kill: () => runtime.exit(pid, 'kill'),
          operator: () => runtime.send(pid, { tag: 'disconnect', reasonCode: 0x98, reason: 'kicked' }),
          second: () => simulation.advance('1s'),
          minute: () => simulation.advance('1m'),
        }
        for (const step of sequence) {
          await perform[step]()
          await simulation.run()
        }
        runtime.exit(pid, 'shutdown')
        await simulation.settled('1m')
        expect(transport.isDestroyed).toBe(true)
        expect(runtime.isAlive(pid)).toBe(false)
        expect(simulation.time.nextInMs).toBeUndefined()
        const livingSessions = broker.sessions.filter((session) => runtime.isAlive(session.pid)).length
        expect(runtime.processes.count).toBe(before + livingSessions)
        expect(broker.sessions.length).toBeLessThanOrEqual(1)
        const detaches = broker.sessions.flatMap((session) => session.detaches)
        const wasKilled = sequence.includes('kill')
        const crashed = sequence.includes('session_crash')
        if (broker.sessions.length > 0 && !wasKilled && !crashed) expect(detaches).toHaveLength(1)
        else expect(detaches.length).toBeLessThanOrEqual(1)
        const connected = broker.events.filter((event) => event.startsWith('connected')).length
        const disconnected = broker.events.filter((event) => event.startsWith('disconnected')).length
        if (!wasKilled) expect(disconnected).toBe(connected)
        simulation.stop()
      },
    )
    await fc.assert(run, { numRuns: 150 })
  })
})
