import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { StoreError } from '../../src/mnesia/errors.ts'
import type { LogStore } from '../../src/mnesia/store/log-store.ts'
import { eventually } from '../support/eventually.ts'
import { program } from '../support/programs.ts'
import { open, storeDirectory } from './log-store-support.ts'
import type { WriterOrder } from './store-writer.ts'

function put(store: LogStore, key: string, value = 'v'): void {
  store.commit([{ space: 's', key, value: Buffer.from(value) }])
}

/** Fails the directory of a store into which no log has been written yet, until the returned function is called. */
function takeAway(directory: string): () => void {
  fs.renameSync(directory, `${directory}.away`)
  return () => fs.renameSync(`${directory}.away`, directory)
}

async function startWriter(directory: string): Promise<ChildProcess> {
  const writer = spawn(process.execPath, program('test/mnesia/store-writer'), { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void writer.kill('SIGKILL'))
  const order: WriterOrder = { logBytes: 1e6, stores: [{ directory, seed: 1, next: 1 }] }
  writer.stdin!.write(`${JSON.stringify(order)}\n`)
  let output = ''
  writer.stdout!.on('data', (text) => {
    output += text
  })
  // Once a promise has been made the store is open.
  await eventually(() => output.split('\n').length > 2)
  return writer
}

describe('the directory of a store', () => {
  test('is open in one process at a time, and the other is named', async () => {
    const directory = storeDirectory()
    const writer = await startWriter(directory)
    const refused = { code: 'store', fault: 'in_use' }
    await expect(open(directory)).rejects.toMatchObject(refused)
    await expect(open(directory)).rejects.toThrow(`${directory} is in use by process ${writer.pid} (writer 0, since `)
    // A process that does not run at the moment has not let go.
    writer.kill('SIGSTOP')
    await expect(open(directory)).rejects.toMatchObject(refused)
    writer.kill('SIGKILL')
    await once(writer, 'close')
    const { store, damage } = await open(directory)
    expect(damage).toEqual([])
    expect(Number(store.get('count', 'n'))).toBeGreaterThan(0)
    await store.close()
  })

  test('is open once in a process too, until it is closed', async () => {
    const directory = storeDirectory()
    const { store } = await open(directory)
    await expect(open(directory)).rejects.toThrow(`in use by process ${process.pid}`)
    await store.close()
    await (await open(directory)).store.close()
    // What stays behind is one dead socket, however often the store is opened.
    expect(fs.readdirSync(directory).filter((name) => name.startsWith('lock'))).toEqual(['lock.2'])
  })

  test('is taken over by one of many that find its owner dead', async () => {
    const directory = storeDirectory()
    const writer = await startWriter(directory)
    writer.kill('SIGKILL')
    await once(writer, 'close')
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => open(directory)))
    const opened = tries.filter((each) => each.status === 'fulfilled')
    expect(opened).toHaveLength(1)
    for (const each of tries) if (each.status === 'rejected') expect(each.reason).toMatchObject({ fault: 'in_use' })
    await opened[0]!.value.store.close()
  })

  test('may be deep: longer than the address of a socket', async () => {
    const directory = join(storeDirectory(), ...Array.from({ length: 30 }, (_, i) => `deep-${i}`))
    const { store } = await open(directory)
    await expect(open(directory)).rejects.toMatchObject({ fault: 'in_use' })
    put(store, 'k')
    await store.close()
  })

  test('that cannot be written to is refused with what to do', async () => {
    // Nobody may make a directory there, not even root.
    await expect(open('/sys/agner-store')).rejects.toThrow(
      /cannot open the store in \/sys\/agner-store: it must be writable for the user that runs the node \((EPERM|EROFS|EACCES)\)/,
    )
    await expect(open('/sys/agner-store')).rejects.toMatchObject({ code: 'store', fault: 'not_writable' })
  })

  test('of a later format is refused and left alone', async () => {
    const directory = storeDirectory()
    const { store } = await open(directory)
    put(store, 'k')
    await store.close()
    const log = join(directory, '00000001.log')
    const bytes = fs.readFileSync(log)
    const { crc32 } = await import('../../src/mnesia/store/checksum.ts')
    bytes.writeUInt32LE(7, 8)
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 36), 0), 36)
    fs.writeFileSync(log, bytes)
    await expect(open(directory)).rejects.toThrow(/00000001.log is of format 7, and this version reads format 1/)
    expect(fs.readFileSync(log).equals(bytes)).toBe(true)
  })

  test('may hold files of others, and an unfinished one of ours is removed', async () => {
    const directory = storeDirectory()
    for (const name of ['notes.txt', '1.log', '00000001-00000004.rows.tmp'])
      fs.writeFileSync(join(directory, name), 'x')
    const { store, damage } = await open(directory)
    expect(damage).toEqual([])
    await store.close()
    expect(fs.readdirSync(directory).sort()).toEqual(['1.log', 'lock.1', 'notes.txt', 'positions'])
  })

  test('keeps what a crash cut short to itself: it was promised to nobody', async () => {
    const directory = storeDirectory()
    const { store } = await open(directory)
    put(store, 'k')
    await store.close()
    const log = join(directory, '00000001.log')
    const whole = fs.readFileSync(log)
    for (const tail of [whole.subarray(40, 50), whole.subarray(40, whole.length - 1), Buffer.alloc(500)]) {
      fs.writeFileSync(log, Buffer.concat([whole, tail]))
      const again = await open(directory)
      expect(again.damage).toEqual([])
      expect([...again.store.entries('s')].map(([key]) => key)).toEqual(['k'])
      await again.store.close()
      for (const name of fs.readdirSync(directory)) if (name.endsWith('.rows')) fs.rmSync(join(directory, name))
    }
  })
})

describe('a store whose disc refuses', () => {
  test('tells whoever waits, keeps what was written, and writes it once it can', async () => {
    const directory = storeDirectory()
    const events: string[] = []
    const { store } = await open(directory, {
      retryMs: 20,
      onFailure: ({ fault }) => events.push(fault),
      onRecovery: () => events.push('recovered'),
    })
    const giveBack = takeAway(directory)
    put(store, 'a')
    await expect(store.flushed()).rejects.toBeInstanceOf(StoreError)
    put(store, 'b')
    await expect(store.flushed()).rejects.toThrow(directory)
    expect(store.failure).toMatchObject({ fault: 'io' })
    expect([...store.entries('s')].map(([key]) => key)).toEqual(['a', 'b'])
    giveBack()
    await eventually(() => store.failure === undefined)
    await store.flushed()
    expect(events).toEqual(['io', 'recovered'])
    await store.close()
    const again = await open(directory)
    expect([...again.store.entries('s')].map(([key]) => key)).toEqual(['a', 'b'])
    await again.store.close()
  })

  test('holds no more in memory than each key once, however long it refuses', async () => {
    const directory = storeDirectory()
    // No further attempt comes in between: what is committed during one is condensed after it.
    const { store } = await open(directory, { retryMs: 600_000, waitingBytes: 100_000, logBytes: 50_000 })
    const giveBack = takeAway(directory)
    put(store, 'first')
    await expect(store.flushed()).rejects.toBeInstanceOf(StoreError)
    let most = 0
    for (let i = 0; i < 20_000; i++) {
      put(store, String(i % 50), `${i}${'x'.repeat(200)}`)
      most = Math.max(most, store.info().waitingBytes)
      if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(most).toBeLessThan(102_000)
    giveBack()
    // The end asks the disc once more.
    await store.close()
    const again = await open(directory)
    expect(again.store.count('s')).toBe(51)
    expect(String(again.store.get('s', '49'))).toMatch(/^19999x/)
    await again.store.close()
  })

  test('says at its end that not all could be written', async () => {
    const directory = storeDirectory()
    const { store } = await open(directory, { retryMs: 20 })
    const giveBack = takeAway(directory)
    put(store, 'a')
    await expect(store.close()).rejects.toBeInstanceOf(StoreError)
    giveBack()
    // The lock is released all the same.
    await (await open(directory)).store.close()
  })

  test('under a limit on the size of files keeps what was promised and goes on when it is lifted', async () => {
    const directory = storeDirectory()
    // The limit is in blocks of 512 or 1024 bytes.
    const command = `ulimit -S -f 200; exec "$0" "$@"`
    const filler = spawn(
      '/bin/sh',
      ['-c', command, process.execPath, ...program('test/mnesia/store-filler'), directory],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    onTestFinished(() => void filler.kill('SIGKILL'))
    const events: string[] = []
    let text = ''
    filler.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      events.splice(0, events.length, ...text.split('\n').slice(0, -1))
    })
    await eventually(() => events.some((event) => event.startsWith('failure')))
    expect(events.find((event) => event.startsWith('failure'))).toMatch(
      /disc_full.*no room left; what was written waits in memory until there is \(EFBIG\)/,
    )
    const refusedAt = events.findIndex((event) => event.startsWith('failure'))
    await eventually(() => events.slice(refusedAt).some((event) => event.startsWith('refused')))
    execFileSync('prlimit', ['--pid', String(filler.pid), '--fsize=unlimited'])
    await eventually(() => events.includes('recovered'))
    const recoveredAt = events.indexOf('recovered')
    await eventually(() => events.slice(recoveredAt).some((event) => event.startsWith('promised')))
    filler.kill('SIGKILL')
    await once(filler, 'close')
    const promised = Math.max(...events.map((event) => Number(/^promised (\d+)/.exec(event)?.[1] ?? 0)))
    const { store, damage } = await open(directory)
    expect(damage).toEqual([])
    for (let n = 1; n <= promised; n++) expect(store.get('s', String(n))?.length).toBe(1000)
    await store.close()
  })

  const canMount = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0
  test.skipIf(!canMount)('on a full disc fails no checkpoint for good, and loses nothing', async (context) => {
    const directory = storeDirectory()
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'agner-test', directory]).status !== 0) context.skip()
    onTestFinished(() => void spawnSync('umount', ['-l', directory]))
    const failures: string[] = []
    let recoveries = 0
    const { store } = await open(directory, {
      logBytes: 100_000,
      retryMs: 20,
      onFailure: ({ fault }) => failures.push(fault),
      onRecovery: () => recoveries++,
    })
    let promised = 0
    const balloon = join(directory, 'balloon')
    for (let n = 1; failures.length === 0; n++) {
      if (n === 200) {
        try {
          fs.writeFileSync(balloon, Buffer.alloc(1 << 20))
        } catch {
          // As much as there is room for.
        }
      }
      put(store, String(n % 300), `${n} ${'x'.repeat(1000)}`)
      await store.flushed().then(
        () => {
          promised = n
        },
        () => undefined,
      )
    }
    expect(failures[0]).toBe('disc_full')
    expect(promised).toBeGreaterThan(100)
    fs.rmSync(balloon)
    await eventually(() => store.failure === undefined || store.failure.message.includes('checkpoint'))
    await store.flushed()
    expect(recoveries).toBeLessThanOrEqual(failures.length)
    for (let n = Math.max(1, promised - 299); n <= promised; n++)
      expect(String(store.get('s', String(n % 300)))).toMatch(/^\d+ x/)
    await store.close()
    const again = await open(directory)
    expect(again.damage).toEqual([])
    expect(String(again.store.get('s', String(promised % 300)))).toContain(`${promised} x`)
    await again.store.close()
  })
})

describe('a store on disc', () => {
  test('flushes all of a turn, and all that comes during a flush, at once', async () => {
    const directory = storeDirectory()
    const { store } = await open(directory)
    for (let i = 0; i < 500; i++) put(store, String(i))
    await store.flushed()
    const size = store.info().logBytes
    await store.close()
    // 500 groups would have had 500 headers.
    expect(size).toBeLessThan(500 * 10 + 200)
  })

  test('is read while a checkpoint replaces the files that are being read', async () => {
    const directory = storeDirectory()
    const { store } = await open(directory, { logBytes: 10_000 })
    for (let i = 0; i < 2000; i++) {
      put(store, String(i).padStart(5, '0'))
      if (i % 50 === 0) await store.flushed()
    }
    await eventually(() => store.info().files.some((name) => name.endsWith('.rows')))
    const walk = store.entries('s')
    const seen = [walk.next().value![0]]
    for (let i = 0; i < 3000; i++) {
      put(store, String(i % 2000).padStart(5, '0'), 'later')
      if (i % 50 === 0) await store.flushed()
    }
    for (const [key] of walk) seen.push(key)
    expect(seen).toEqual(Array.from({ length: 2000 }, (_, i) => String(i).padStart(5, '0')))
    expect(store.count('s')).toBe(2000)
    await store.close()
  })

  test('merges its files, so that there are few however much is written', async () => {
    const directory = storeDirectory({ inMemory: true })
    const { store } = await open(directory, { logBytes: 5_000 })
    for (let i = 0; i < 20_000; i++) {
      put(store, String(i % 700), 'x'.repeat(20))
      if (i % 100 === 0) await store.flushed()
    }
    await store.flushed()
    await eventually(() => store.info().files.length <= 8)
    expect(store.info().rowsBytes).toBeLessThan(700 * 40 * 4)
    await store.close()
  })

  test('refuses writes after it has been closed', async () => {
    const { store } = await open(storeDirectory())
    await store.close()
    expect(() => put(store, 'k')).toThrow(expect.objectContaining({ code: 'store', fault: 'closed' }))
  })
})
