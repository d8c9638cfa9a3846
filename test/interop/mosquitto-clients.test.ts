/**
 * mosquitto_pub and mosquitto_sub (Debian) in all three versions of the protocol.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { elapse } from '../support/eventually.ts'
import { MosquittoSub, type MosquittoVersion, mosquittoPub } from '../support/mosquitto-clients.ts'

const mqtt = useBroker(4)

const running: MosquittoSub[] = []

async function sub(version: MosquittoVersion, format: string, args: readonly string[]): Promise<MosquittoSub> {
  const started = await MosquittoSub.start(mqtt, version, format, args)
  running.push(started)
  return started
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((client) => client.stop('SIGKILL')))
})

describe.each(['mqttv31', 'mqttv311', 'mqttv5'] as const)('mosquitto_pub and mosquitto_sub speaking %s', (version) => {
  const pub = (args: readonly string[], input?: Buffer) => mosquittoPub(mqtt, version, args, input)

  test('exchange messages at every QoS', async () => {
    const topic = mqtt.topic()
    for (const qos of [0, 1, 2]) {
      const reader = await sub(version, '%t %q %r %p', ['-t', `${topic}/#`, '-q', String(qos)])
      for (const sent of [0, 1, 2]) {
        await pub(['-t', `${topic}/${qos}`, '-m', `hello ${sent}`, '-q', String(sent)])
        expect(await reader.message()).toBe(`${topic}/${qos} ${Math.min(qos, sent)} 0 hello ${sent}`)
      }
      await reader.stop()
    }
  })

  test('leave and clear a retained message', async () => {
    const topic = mqtt.topic()
    await pub(['-t', topic, '-m', 'kept', '-r', '-q', '1'])
    const reader = await sub(version, '%r %p', ['-t', topic])
    expect(await reader.message()).toBe('1 kept')
    await pub(['-t', topic, '-n', '-r', '-q', '1'])
    expect(await reader.message()).toBe('0 ')
    const late = await sub(version, '%r %p', ['-t', topic])
    await pub(['-t', topic, '-m', 'live'])
    expect(await late.message()).toBe('0 live')
  })

  test('have their will published when cut, and on DISCONNECT only when they ask for it', async () => {
    const topic = mqtt.topic()
    const reader = await sub(version, '%q %p', ['-t', topic, '-q', '2'])
    const will = ['-t', 'idle', '--will-topic', topic, '--will-payload', 'gone', '--will-qos', '2']
    // Ended by a signal, mosquitto_sub sends DISCONNECT; in 5.0 with reason code 0x04, which asks for the will.
    const polite = await sub(version, '%p', will)
    await polite.stop('SIGTERM')
    if (version === 'mqttv5') expect(await reader.message()).toBe('2 gone')
    await pub(['-t', topic, '-m', 'no will before this', '-q', '1'])
    expect(await reader.message()).toBe('1 no will before this')
    const cut = await sub(version, '%p', will)
    await cut.stop('SIGKILL')
    expect(await reader.message()).toBe('2 gone')
  })

  test('find what a persistent session collected', async () => {
    const topic = mqtt.topic()
    const session = ['-t', topic, '-q', '1', '-i', mqtt.id(), '-c', ...(version === 'mqttv5' ? ['-x', '100'] : [])]
    const first = await sub(version, '%p', session)
    await first.stop('SIGTERM')
    for (const payload of ['one', 'two', 'three']) await pub(['-t', topic, '-m', payload, '-q', '1'])
    const second = await sub(version, '%p', session)
    expect([await second.message(), await second.message(), await second.message()]).toEqual(['one', 'two', 'three'])
  })

  test('carry a payload of 1 MB', async () => {
    const topic = mqtt.topic()
    const reader = await sub(version, '%l', ['-t', topic, '-q', '1'])
    await pub(['-t', topic, '-q', '1', '-s'], Buffer.alloc(1_000_000, 0x61))
    expect(await reader.message()).toBe('1000000')
  })

  test('publish many lines over one connection in order', async () => {
    const topic = mqtt.topic()
    const reader = await sub(version, '%p', ['-t', topic, '-q', '2'])
    const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`)
    await pub(['-t', topic, '-q', '2', '-l'], Buffer.from(`${lines.join('\n')}\n`))
    const got: string[] = []
    for (const _ of lines) got.push(await reader.message())
    expect(got).toEqual(lines)
  })
})

describe('mosquitto_pub and mosquitto_sub with what only mqttv5 has', () => {
  test('pass properties on', async () => {
    const topic = mqtt.topic()
    const reader = await sub('mqttv5', '%p %C %R %D %P %E', ['-t', topic, '-q', '1'])
    const property = (...words: string[]) => ['-D', 'publish', ...words]
    await mosquittoPub(mqtt, 'mqttv5', [
      ...['-t', topic, '-q', '1', '-m', 'x'],
      ...property('content-type', 'text'),
      ...property('response-topic', 'answers'),
      ...property('correlation-data', 'c1'),
      ...property('user-property', 'a', '1'),
      ...property('user-property', 'a', '2'),
      ...property('message-expiry-interval', '100'),
    ])
    expect(await reader.message()).toMatch(/^x text answers c1 a:1 a:2 (100|99|98)$/)
  })

  test('share a subscription: one delivery per group', async () => {
    const topic = mqtt.topic()
    const members = [
      await sub('mqttv5', '%p', ['-t', `$share/g/${topic}`]),
      await sub('mqttv5', '%p', ['-t', `$share/g/${topic}`]),
    ]
    const all = await sub('mqttv5', '%p', ['-t', topic])
    for (let i = 0; i < 10; i++) await mosquittoPub(mqtt, 'mqttv5', ['-t', topic, '-m', String(i), '-q', '1'])
    for (let i = 0; i < 10; i++) expect(await all.message()).toBe(String(i))
    for (const member of members) await member.stop('SIGTERM')
    const got: string[] = []
    for (const member of members) {
      for (;;) {
        const line = await member.message().catch(() => undefined)
        if (line === undefined) break
        got.push(line)
      }
    }
    expect(got.sort()).toEqual(Array.from({ length: 10 }, (_, i) => String(i)))
  })

  test('let an expired message go', async () => {
    const topic = mqtt.topic()
    const session = ['-t', topic, '-q', '1', '-i', mqtt.id(), '-c', '-x', '100']
    await (await sub('mqttv5', '%p', session)).stop('SIGTERM')
    await mosquittoPub(mqtt, 'mqttv5', [
      '-t',
      topic,
      '-q',
      '1',
      '-m',
      'brief',
      '-D',
      'publish',
      'message-expiry-interval',
      '1',
    ])
    await elapse(2_200)
    await mosquittoPub(mqtt, 'mqttv5', ['-t', topic, '-q', '1', '-m', 'later'])
    const back = await sub('mqttv5', '%p', session)
    expect(await back.message()).toBe('later')
  })
})
