/**
 * Nanoseconds per packet of the codec beside `mqtt-packet`. Run: `node --import tsx bench/codec.ts`.
 *
 * Each figure is the median (and the 99th percentile) of rounds that decode or encode a chunk of 50 packets.
 */
import mqttPacket, { type Packet as RarePacket } from 'mqtt-packet'
import { encodeAck, encodeBatch, encodePublish } from '../src/broker/codec/encode.ts'
import { Decoder, FrameReader } from '../src/broker/codec.ts'
import { Batch, type Message } from '../src/broker/message.ts'
import type { ProtocolVersion } from '../src/broker/packet.ts'

const PACKETS = 50
const ROUNDS = 4000
const WARM_UP_ROUNDS = 1500
const TOPIC = 'sensors/building-7/room-12/temperature'

let sink = 0

function measure(name: string, perRound: number, run: () => number): number {
  const nsPerPacket: number[] = []
  for (let round = 0; round < ROUNDS + WARM_UP_ROUNDS; round++) {
    const from = process.hrtime.bigint()
    sink += run()
    const ns = Number(process.hrtime.bigint() - from)
    if (round >= WARM_UP_ROUNDS) nsPerPacket.push(ns / perRound)
  }
  nsPerPacket.sort((a, b) => a - b)
  const median = nsPerPacket[Math.floor(ROUNDS / 2)]!
  const p99 = nsPerPacket[Math.floor(ROUNDS * 0.99)]!
  console.log(`${name.padEnd(52)} ns/packet n=${ROUNDS} median ${median.toFixed(0)} p99 ${p99.toFixed(0)}`)
  return median
}

function chunkOf(packet: (i: number) => RarePacket, version: ProtocolVersion): Buffer {
  const frames = Array.from({ length: PACKETS }, (_, i) => mqttPacket.generate(packet(i), { protocolVersion: version }))
  return Buffer.concat(frames)
}

function decoderFor(version: ProtocolVersion): Decoder {
  const decoder = new Decoder({ maxPacketBytes: 1 << 20 })
  const connect = mqttPacket.generate({ cmd: 'connect', clientId: 'bench', protocolVersion: version, clean: true })
  if (decoder.feed(connect).error !== undefined) throw new Error('CONNECT refused')
  return decoder
}

function benchDecode(name: string, version: ProtocolVersion, packet: (i: number) => RarePacket): void {
  const chunk = chunkOf(packet, version)
  const decoder = decoderFor(version)
  const ours = measure(`decode ${name}, ours`, PACKETS, () => decoder.feed(chunk).packets.length)
  const parser = mqttPacket.parser({ protocolVersion: version })
  let count = 0
  parser.on('packet', () => count++)
  const theirs = measure(`decode ${name}, mqtt-packet`, PACKETS, () => parser.parse(chunk))
  console.log(`  ratio ${(theirs / ours).toFixed(1)} (${count} packets)`)
}

function publish(qos: 0 | 1 | 2, properties?: object): (i: number) => RarePacket {
  const payload = Buffer.alloc(64, 'x')
  return (i) =>
    ({
      cmd: 'publish',
      topic: TOPIC,
      payload,
      qos,
      dup: false,
      retain: false,
      messageId: i + 1,
      properties,
    }) as RarePacket
}

const manyTopics = (i: number): RarePacket => ({ ...publish(0)(i), topic: `${TOPIC}/${i}` }) as RarePacket

const PAYLOAD = Buffer.alloc(64, 'x')

function message(i: number): Message {
  return {
    id: String(i),
    from: 'bench',
    topic: TOPIC,
    payload: PAYLOAD,
    qos: 1,
    retain: false,
    publishedAtMs: 0,
    expiresAtMs: Infinity,
    properties: undefined,
  }
}

benchDecode('PUBLISH QoS 0, 3.1.1, 64 B', 4, publish(0))
benchDecode('PUBLISH QoS 1, 3.1.1, 64 B', 4, publish(1))
benchDecode('PUBLISH QoS 0, 3.1.1, a new topic each', 4, manyTopics)
benchDecode('PUBLISH QoS 0, 5.0, no properties', 5, publish(0))
benchDecode(
  'PUBLISH QoS 0, 5.0, expiry and content type',
  5,
  publish(0, { messageExpiryInterval: 60, contentType: 'a/b' }),
)
benchDecode('PUBACK', 4, (i) => ({ cmd: 'puback', messageId: i + 1 }))
benchDecode('SUBSCRIBE', 4, (i) => ({ cmd: 'subscribe', messageId: i + 1, subscriptions: [{ topic: TOPIC, qos: 0 }] }))

const connect = mqttPacket.generate({
  cmd: 'connect',
  clientId: 'bench',
  protocolVersion: 4,
  clean: true,
  username: 'u',
})
const frames = new FrameReader()
measure('decode CONNECT by a new decoder, ours', PACKETS, () => {
  let packets = 0
  for (let i = 0; i < PACKETS; i++)
    packets += new Decoder({ maxPacketBytes: 1000, frames }).feed(connect).packets.length
  return packets
})
measure('decode CONNECT by a new parser, mqtt-packet', PACKETS, () => {
  for (let i = 0; i < PACKETS; i++) mqttPacket.parser().parse(connect)
  return PACKETS
})

const messages = Array.from({ length: PACKETS }, (_, i) => message(i))
const SUBSCRIBERS = 100
for (const version of [4, 5] as const) {
  measure(
    `encode batch, ${version}, first subscriber`,
    PACKETS,
    () => encodeBatch(new Batch(messages), version, 0).length,
  )
  const batch = new Batch(messages)
  measure(`encode batch, ${version}, per delivery to ${SUBSCRIBERS}`, PACKETS * SUBSCRIBERS, () => {
    let bytes = 0
    batch.wire = undefined
    for (let i = 0; i < SUBSCRIBERS; i++) bytes += encodeBatch(batch, version, 0).length
    return bytes
  })
  measure(`encode PUBLISH QoS 1, ${version}, first subscriber`, PACKETS, () => {
    let bytes = 0
    for (let i = 0; i < PACKETS; i++) {
      const fresh = message(i)
      const out = {
        cmd: 'publish',
        message: fresh,
        qos: 1,
        retain: false,
        dup: false,
        messageId: i + 1,
        ids: undefined,
      } as const
      bytes += encodePublish(out, version, 0).length
    }
    return bytes
  })
  measure(`encode PUBLISH QoS 1, ${version}, later subscribers`, PACKETS, () => {
    let bytes = 0
    for (let i = 0; i < PACKETS; i++) {
      const out = {
        cmd: 'publish',
        message: messages[i]!,
        qos: 1,
        retain: false,
        dup: false,
        messageId: i + 1,
        ids: undefined,
      } as const
      bytes += encodePublish(out, version, 0).length
    }
    return bytes
  })
}
measure('encode PUBLISH QoS 1, mqtt-packet generate', PACKETS, () => {
  let bytes = 0
  for (let i = 0; i < PACKETS; i++) bytes += mqttPacket.generate(publish(1)(i)).length
  return bytes
})
measure('encode PUBACK, ours', PACKETS, () => {
  let bytes = 0
  for (let i = 1; i <= PACKETS; i++) bytes += encodeAck('puback', i, 0, 4).length
  return bytes
})
measure('encode PUBACK, mqtt-packet generate', PACKETS, () => {
  let bytes = 0
  for (let i = 1; i <= PACKETS; i++) bytes += mqttPacket.generate({ cmd: 'puback', messageId: i }).length
  return bytes
})
if (sink === 0) throw new Error('nothing measured')
