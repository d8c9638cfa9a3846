import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { COOKIE_FILE, readCookie } from '../../src/dist/cookie.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'agner-cookie-'))
})
afterEach(() => rm(home, { recursive: true }))

const read = (option?: string, env: Record<string, string> = {}) => readCookie({ option, env, home })

describe('the cookie', () => {
  it('is that of the option, else of the environment, else of the file', async () => {
    await writeFile(join(home, COOKIE_FILE), 'filed\n', { mode: 0o600 })
    expect(await read('given', { AGNER_COOKIE: 'env' })).toEqual({ ok: true, cookie: 'given', source: 'option' })
    expect(await read(undefined, { AGNER_COOKIE: 'env' })).toEqual({ ok: true, cookie: 'env', source: 'environment' })
    expect(await read()).toEqual({ ok: true, cookie: 'filed', source: 'file' })
  })

  it('is made at random in a file of mode 0600 when there is none, and stays', async () => {
    const made = await read()
    expect(made).toMatchObject({ ok: true, source: 'new_file', cookie: expect.stringMatching(/^[\w-]{32}$/) })
    expect((await stat(join(home, COOKIE_FILE))).mode & 0o777).toBe(0o600)
    expect(await read()).toEqual({ ...made, source: 'file' })
    expect(await readdir(home)).toEqual([COOKIE_FILE])
  })

  it('is one cookie for nodes that start at the same time', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => read()))
    const filed = (await readFile(join(home, COOKIE_FILE), 'utf8')).trim()
    for (const result of results) expect(result).toMatchObject({ ok: true, cookie: filed })
  })

  it.each([0o640, 0o604, 0o660, 0o644])(
    'is refused from a file of mode %o, with the remedy and without the cookie',
    async (mode) => {
      const path = join(home, COOKIE_FILE)
      await writeFile(path, 'topsecret\n')
      await chmod(path, mode)
      const result = await read()
      expect(result).toMatchObject({ ok: false, problem: expect.stringContaining(`chmod 600 ${path}`) })
      expect(JSON.stringify(result)).not.toContain('topsecret')
    },
  )

  it.each(['', 'a b', 'ü', 'x'.repeat(256)])('is refused when it is %j', async (cookie) => {
    const result = await read(cookie)
    expect(result.ok).toBe(false)
    if (!result.ok && cookie.length > 1) expect(result.problem).not.toContain(cookie)
  })

  it('is refused with a sentence when the file cannot be made', async () => {
    const result = await readCookie({ option: undefined, env: {}, home: join(home, 'missing') })
    expect(result).toMatchObject({ ok: false, problem: expect.stringContaining('(ENOENT)') })
  })
})
