import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { beforeEach, describe, expect, it } from 'vitest'
import { AccessControl, type Credentials } from '../../src/broker/access/access-control.ts'
import { type AclRule, parseAcl } from '../../src/broker/access/acl-file.ts'
import { hashPassword, verifyPassword } from '../../src/broker/access/auth-password.ts'
import { type BrokerOverrides, configOf } from '../../src/broker/config.ts'
import { Hooks, stop } from '../../src/broker/hooks.ts'
import { createMetrics, type Metrics } from '../../src/broker/monitor/metrics.ts'
import { TestTables } from '../support/tables.ts'

const secret = await hashPassword(Buffer.from('secret'), Buffer.alloc(16, 1))
const other = await hashPassword(Buffer.from('other'), Buffer.alloc(16, 2))

let nowMs: number
let metrics: Metrics
let hooks: Hooks
beforeEach(() => {
  nowMs = 1000
  metrics = createMetrics()
  hooks = new Hooks(pino({ level: 'silent' }), metrics)
})

function control(access: BrokerOverrides['access'] = {}, text?: string): AccessControl {
  return new AccessControl({
    config: configOf({ access }).access,
    ...(text === undefined ? {} : { rules: rules(text) }),
    tables: new TestTables(),
    hooks,
    metrics,
    clock: { now: () => nowMs, monotonic: () => nowMs },
  })
}

function rules(text: string): readonly AclRule[] {
  const parsed = parseAcl(text, 'acl.conf')
  if (!parsed.ok) throw new Error(parsed.errors.join('\n'))
  return parsed.rules
}

function credentials(username?: string, password?: string, clientId = 'c1'): Credentials {
  const bytes = password === undefined ? undefined : Buffer.from(password)
  return { clientId, username, password: bytes, host: '10.0.0.1', protocolVersion: 4 }
}

describe('a password hash', () => {
  it('fits its password only', async () => {
    expect(await verifyPassword(Buffer.from('secret'), secret)).toBe(true)
    expect(await verifyPassword(Buffer.from('Secret'), secret)).toBe(false)
    expect(await verifyPassword(Buffer.from(''), secret)).toBe(false)
  })

  it('differs for equal passwords with different salts', async () => {
    expect(await hashPassword(Buffer.from('secret'), Buffer.alloc(16, 9))).not.toBe(secret)
  })

  it.each([
    '',
    'secret',
    'scrypt$16384$8$1$AAAA',
    'scrypt$0$8$1$AAAA$AAAA',
    'scrypt$3$8$1$AAAA$'.padEnd(62, 'A'),
    'md5$1$1$1$a$b',
  ])('that is broken (%j) fits none', async (hash) => {
    expect(await verifyPassword(Buffer.from('secret'), hash)).toBe(false)
  })
})

describe('authentication', () => {
  const access = { users: { bob: secret }, clients: { c9: other } }

  it('lets everybody in when nothing is configured', async () => {
    expect(await control().authenticate(credentials('anyone', 'x'))).toEqual({ outcome: 'accept' })
    expect(metrics['client/auth/anonymous']).toBe(1)
  })

  it('checks users by their password', async () => {
    const it = control(access)
    expect(await it.authenticate(credentials('bob', 'secret'))).toEqual({ outcome: 'accept' })
    expect(await it.authenticate(credentials('bob', 'wrong'))).toMatchObject({ outcome: 'refuse', reasonCode: 0x86 })
    expect(await it.authenticate(credentials('bob'))).toMatchObject({ outcome: 'refuse', reasonCode: 0x86 })
    expect([metrics['client/auth/success'], metrics['client/auth/failure']]).toEqual([1, 2])
  })

  it('checks client ids by their password', async () => {
    const it = control(access)
    expect(await it.authenticate(credentials(undefined, 'other', 'c9'))).toEqual({ outcome: 'accept' })
    expect(await it.authenticate(credentials('eve', 'wrong', 'c9'))).toMatchObject({ reasonCode: 0x86 })
  })

  it('leaves whom no source knows to allow_anonymous', async () => {
    expect(await control(access).authenticate(credentials('eve', 'x'))).toEqual({ outcome: 'accept' })
    const closed = control({ ...access, allowAnonymous: false })
    expect(await closed.authenticate(credentials('eve', 'x'))).toMatchObject({ outcome: 'refuse', reasonCode: 0x86 })
    expect(await closed.authenticate(credentials())).toMatchObject({ outcome: 'refuse', reasonCode: 0x87 })
    expect(await closed.authenticate(credentials('bob', 'secret'))).toEqual({ outcome: 'accept' })
  })

  it('does not take object names for users', async () => {
    const closed = control({ ...access, allowAnonymous: false })
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(await closed.authenticate(credentials(name, 'x'))).toMatchObject({ outcome: 'refuse' })
    }
  })

  it('asks hooks first, and the rest when they do not know', async () => {
    const it = control({ ...access, allowAnonymous: false })
    hooks.on('client.authenticate', (outcome, { username }) =>
      username === 'eve' ? stop({ outcome: 'accept', username: 'adam' } as const) : outcome,
    )
    expect(await it.authenticate(credentials('eve'))).toEqual({ outcome: 'accept', username: 'adam' })
    expect(await it.authenticate(credentials('bob', 'secret'))).toEqual({ outcome: 'accept' })
    expect(await it.authenticate(credentials('abel'))).toMatchObject({ outcome: 'refuse' })
  })

  it('follows users that are added and removed', async () => {
    const it = control({ allowAnonymous: false, users: { bob: secret } })
    it.users.add('new', other)
    expect(it.users.names()).toEqual(['bob', 'new'])
    expect(await it.authenticate(credentials('new', 'other'))).toEqual({ outcome: 'accept' })
    expect(it.users.delete('new')).toBe(true)
    expect(it.users.delete('new')).toBe(false)
    expect(await it.authenticate(credentials('new', 'other'))).toMatchObject({ outcome: 'refuse' })
  })

  it('keeps the passwords of the configuration', async () => {
    const it = control({ users: { bob: secret } })
    it.users.add('bob', other)
    expect(it.users.names()).toEqual(['bob'])
    expect(await it.authenticate(credentials('bob', 'other'))).toMatchObject({ outcome: 'refuse' })
    expect(await it.authenticate(credentials('bob', 'secret'))).toEqual({ outcome: 'accept' })
  })

  it.each([
    ['clientid', 'c1'],
    ['username', 'bob'],
    ['peerhost', '10.0.0.1'],
  ] as const)('refuses who is banned by %s, until the ban ends or is lifted', async (kind, value) => {
    const it = control(access)
    const connect = async () => (await it.authenticate(credentials('bob', 'secret'))).outcome
    it.banned.ban(kind, value, { reason: 'flood', by: 'test', untilMs: nowMs + 1000 })
    expect(await it.authenticate(credentials('bob', 'secret'))).toMatchObject({ outcome: 'refuse', reasonCode: 0x8a })
    expect(await it.authenticate({ ...credentials('eve', 'x', 'c2'), host: '10.0.0.2' })).toEqual({ outcome: 'accept' })
    nowMs += 999
    expect(await connect()).toBe('refuse')
    nowMs += 1
    expect(await connect()).toBe('accept')
    expect(it.banned.list()).toEqual([])
    it.banned.ban(kind, value, { reason: 'flood', by: 'test', untilMs: Number.POSITIVE_INFINITY })
    expect(await connect()).toBe('refuse')
    expect([it.banned.unban(kind, value), it.banned.unban(kind, value)]).toEqual([true, false])
    expect(await connect()).toBe('accept')
  })

  it('refuses as busy when too many checks wait', async () => {
    const it = control({ users: { bob: 'scrypt$2$1$1$AAAA$'.padEnd(61, 'A') } })
    const checks = Array.from({ length: 1001 }, () => it.authenticate(credentials('bob', 'x')))
    const outcomes = await Promise.all(checks)
    expect(outcomes.filter(({ outcome }) => outcome === 'refuse')).toHaveLength(1001)
    expect(outcomes.map((outcome) => 'reasonCode' in outcome && outcome.reasonCode).lastIndexOf(0x89)).toBe(1000)
    expect(await it.authenticate(credentials('bob', 'x'))).toMatchObject({ reasonCode: 0x86 })
  })
})

describe('authorization', () => {
  it('follows the rules, and acl_nomatch when none is about it', () => {
    const text = '{deny, all, publish, ["a"]}.'
    const open = control({}, text).authorizer('c1', 'bob', '10.0.0.1')
    expect([open.isAllowed('publish', 'a'), open.isAllowed('publish', 'b')]).toEqual([false, true])
    const closed = control({ aclNoMatch: 'deny' }, text).authorizer('c1', 'bob', '10.0.0.1')
    expect(closed.isAllowed('publish', 'b')).toBe(false)
    expect([metrics['client/authorize/allow'], metrics['client/authorize/deny']]).toEqual([1, 2])
  })

  it.each(['$share/g/', '$queue/', '$local/', '$local/$share/g/', '$share/g/$local/'])('looks behind %s', (prefix) => {
    const it = control({}, '{deny, all, subscribe, ["a/#"]}.').authorizer('c1', undefined, '10.0.0.1')
    expect([it.isAllowed('subscribe', `${prefix}a/b`), it.isAllowed('subscribe', `${prefix}b`)]).toEqual([false, true])
  })

  it('asks hooks before the rules', () => {
    hooks.on('client.authorize', (_, __, ___, topic) => (topic === 'a' ? 'allow' : undefined))
    const it = control({}, '{deny, all}.').authorizer('c1', undefined, '10.0.0.1')
    expect([it.isAllowed('publish', 'a'), it.isAllowed('publish', 'b')]).toEqual([true, false])
  })
})

describe('reloading the rules', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'agner-acl-'))
    return () => rm(folder, { recursive: true })
  })

  it('puts the file in force for connections that are open', async () => {
    const aclFile = join(folder, 'acl.conf')
    await writeFile(aclFile, '{deny, all, publish, ["a"]}.')
    const access = control({ aclFile })
    const it = access.authorizer('c1', undefined, '10.0.0.1')
    expect(it.isAllowed('publish', 'a')).toBe(true)
    expect(await access.reload()).toMatchObject({ ok: true })
    expect(it.isAllowed('publish', 'a')).toBe(false)
  })

  it('keeps what is in force when the file is broken or missing', async () => {
    const aclFile = join(folder, 'acl.conf')
    const access = control({ aclFile }, '{deny, all}.')
    expect(await access.reload()).toEqual({
      ok: false,
      errors: [`${aclFile}: the access rules cannot be read: ENOENT`],
    })
    await writeFile(aclFile, '{allow, all}.\n{allow}.')
    expect(await access.reload()).toMatchObject({ ok: false, errors: [expect.stringContaining(`${aclFile}:2: `)] })
    expect(access.authorizer('c1', undefined, '10.0.0.1').isAllowed('publish', 'a')).toBe(false)
  })

  it('without a file puts the built-in rules in force', async () => {
    const access = control({}, '{deny, all}.')
    await access.reload()
    expect(access.authorizer('c1', undefined, '10.0.0.1').isAllowed('publish', 'a')).toBe(true)
  })
})

describe('the memory of an authorizer', () => {
  let asked: string[]
  beforeEach(() => {
    asked = []
    hooks.on('client.authorize', (_, __, action, topic) => {
      asked.push(`${action} ${topic}`)
      return undefined
    })
  })

  it('keeps verdicts, apart for publish and subscribe, for their time', () => {
    const it = control({ aclCacheTtlMs: 100 }).authorizer('c1', undefined, '10.0.0.1')
    it.isAllowed('publish', 'a')
    it.isAllowed('publish', 'a')
    it.isAllowed('subscribe', 'a')
    nowMs += 99
    it.isAllowed('publish', 'a')
    expect(asked).toEqual(['publish a', 'subscribe a'])
    expect(metrics['client/authorize/cache_hit']).toBe(2)
    nowMs += 1
    it.isAllowed('publish', 'a')
    expect(asked).toHaveLength(3)
  })

  it('is bounded, the oldest going first', () => {
    const it = control({ aclCacheSize: 2 }).authorizer('c1', undefined, '10.0.0.1')
    for (const topic of ['a', 'b', 'c', 'c', 'b', 'a']) it.isAllowed('publish', topic)
    expect(asked).toEqual(['publish a', 'publish b', 'publish c', 'publish a'])
  })

  it('is off when its size is', () => {
    const it = control({ aclCacheSize: 0 }).authorizer('c1', undefined, '10.0.0.1')
    for (const topic of ['a', 'a']) it.isAllowed('publish', topic)
    expect(asked).toHaveLength(2)
  })

  it('forgets when the rules change', () => {
    const access = control()
    const it = access.authorizer('c1', undefined, '10.0.0.1')
    expect(it.isAllowed('publish', 'a')).toBe(true)
    access.setRules(rules('{deny, all}.'))
    expect(it.isAllowed('publish', 'a')).toBe(false)
  })
})
