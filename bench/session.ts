/**
 * How long does the session machine take for one message to a subscriber, with its acknowledgement, and for one from a
 * publisher? No process, no codec, no socket: the state machine alone.
 *
 *     node --import tsx bench/session.ts
 */
import { Pid } from '../src/actors/pid.ts'
import { Batch, type Matched, type Message } from '../src/broker/message.ts'
import type { AckPacket, QoS } from '../src/broker/packet.ts'
import type { AuthorizedPublish, ClientInfo, SessionPacket } from '../src/broker/process-messages.ts'
import { handle } from '../src/broker/session-machine.ts'
import { newSessionState, type SessionState } from '../src/broker/session-state.ts'

const QUICK = process.argv.includes('--quick')
const ROUNDS = QUICK ? 3 : 7
const MESSAGES = QUICK ? 50_000 : 200_000
const NODE = { name: 'n1@127.0.0.1', creation: 1 }
const CONNECTION = new Pid(NODE, 2, 0)
const PAYLOAD = Buffer.alloc(64)

function session(): SessionState {
  const client: ClientInfo = {
    clientId: 'c',
    username: undefined,
    peer: '127.0.0.1:1',
    connection: CONNECTION,
    protocolVersion: 5,
    cleanStart: false,
    expirySec: 3600,
    receiveMaximum: 65_535,
    keepAliveSec: 60,
    will: undefined,
    connectedAtMs: 0,
  }
  const state = newSessionState({
    self: new Pid(NODE, 1, 0),
    limits: {
      maxInflight: 100,
      maxAwaitingRel: 1000,
      maxSubscriptions: 100,
      upgradeQoS: false,
      queue: { maxLength: 1000, maxBytes: 16_000_000, drop: 'oldest', storeQoS0: true, priorities: {} },
    },
    nextMessageId: () => '',
    client,
    nowMs: 0,
  })
  handle(state, 0, { tag: 'attach', client })
  return state
}

function message(qos: QoS): Message {
  return {
    id: '',
    from: 'p',
    topic: 't',
    payload: PAYLOAD,
    qos,
    retain: false,
    publishedAtMs: 0,
    expiresAtMs: Number.POSITIVE_INFINITY,
    properties: undefined,
  }
}

/** Delivers batches of `perBatch` messages and acknowledges what came of them, packets of one batch in one event. */
function outbound(state: SessionState, qos: QoS, perBatch: number, messages: number): void {
  const matched: Matched = { qos, noLocal: false, rap: false, ids: undefined, share: undefined }
  const all = Array.from({ length: perBatch }, () => message(qos))
  for (let n = 0; n < messages; n += perBatch) {
    const ids: number[] = []
    for (const effect of handle(state, 1, { tag: 'deliver', runs: [{ batch: new Batch(all), matched }] })) {
      if (effect.tag !== 'out') continue
      for (const packet of effect.packets) if (packet.cmd === 'publish') ids.push(packet.messageId)
    }
    if (qos === 0) continue
    for (const cmd of qos === 1 ? (['puback'] as const) : (['pubrec', 'pubcomp'] as const)) {
      const packets: AckPacket[] = []
      for (const messageId of ids) packets.push({ cmd, messageId })
      handle(state, 1, { tag: 'packets', from: CONNECTION, packets, sync: false })
    }
  }
}

/** Publishes in chunks of `perChunk`; each is accepted at once. */
function inbound(state: SessionState, qos: QoS, perChunk: number, messages: number): void {
  let id = 0
  for (let n = 0; n < messages; n += perChunk) {
    const packets: SessionPacket[] = []
    const ids: number[] = []
    for (let i = 0; i < perChunk; i += 1) {
      id = (id % 60_000) + 1
      ids.push(id)
      const packet: AuthorizedPublish = {
        cmd: 'publish',
        topic: 't',
        payload: PAYLOAD,
        qos,
        retain: false,
        dup: false,
        denied: 0,
      }
      if (qos > 0) packet.messageId = id
      packets.push(packet)
    }
    for (const effect of handle(state, 1, { tag: 'packets', from: CONNECTION, packets, sync: false })) {
      if (effect.tag === 'publish' && effect.ticket !== 0) {
        handle(state, 1, { tag: 'accepted', ticket: effect.ticket, codes: undefined })
      }
    }
    if (qos < 2) continue
    const pubrels: AckPacket[] = []
    for (const messageId of ids) pubrels.push({ cmd: 'pubrel', messageId })
    handle(state, 1, { tag: 'packets', from: CONNECTION, packets: pubrels, sync: false })
  }
}

function measure(metric: string, body: (messages: number) => void): void {
  body(MESSAGES / 4)
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = process.hrtime.bigint()
    body(MESSAGES)
    times.push(Number(process.hrtime.bigint() - start) / MESSAGES)
  }
  times.sort((a, b) => a - b)
  const median = times[ROUNDS >> 1]!
  process.stdout.write(
    `${metric.padEnd(44)} ns/message  n ${ROUNDS}  median ${median.toFixed(0).padStart(5)}  min ${times[0]!.toFixed(0).padStart(5)}  max ${times.at(-1)!.toFixed(0).padStart(5)}\n`,
  )
}

for (const qos of [0, 1, 2] as const) {
  for (const size of [1, 20]) {
    const state = session()
    measure(`deliver and acknowledge, QoS ${qos}, ${size} at a time`, (messages) =>
      outbound(state, qos, size, messages),
    )
  }
}
for (const qos of [0, 1, 2] as const) {
  for (const size of [1, 20]) {
    const state = session()
    measure(`publish and acknowledge, QoS ${qos}, ${size} at a time`, (messages) => inbound(state, qos, size, messages))
  }
}
