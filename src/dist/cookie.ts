/**
 * The cookie: the secret that nodes must share to connect.
 *
 * Taken from `--cookie`, else AGNER_COOKIE, else the file ~/.agner.cookie, which is made at random when it is missing, so
 * that no two installations share a well-known cookie. A file that others can read is refused: it gives the whole
 * node away. A cookie never appears in a log or an error.
 */
import { randomBytes } from 'node:crypto'
import { chmod, link, open, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A cookie and where it came from, or the sentence that says why there is none. */
export type CookieResult =
  | { readonly ok: true; readonly cookie: string; readonly source: 'option' | 'environment' | 'file' | 'new_file' }
  | { readonly ok: false; readonly problem: string }

/** Where to look. */
export interface CookieSources {
  readonly option: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Directory of the file, the user's home. */
  readonly home: string
}

/** Name of the file in the home directory. */
export const COOKIE_FILE = '.agner.cookie'

/** Finds the cookie, making the file when there is none anywhere. */
export async function readCookie({ option, env, home }: CookieSources): Promise<CookieResult> {
  if (option !== undefined) return checked(option, 'option', 'the cookie of --cookie')
  if (env.AGNER_COOKIE !== undefined) return checked(env.AGNER_COOKIE, 'environment', 'the cookie of AGNER_COOKIE')
  const path = join(home, COOKIE_FILE)
  try {
    return (await readCookieFile(path)) ?? (await makeCookieFile(path))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    return { ok: false, problem: `the cookie file ${path} cannot be used (${code}); give --cookie or AGNER_COOKIE` }
  }
}

/** Undefined when there is no such file. */
async function readCookieFile(path: string): Promise<CookieResult | undefined> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (stats === undefined) return undefined
  if (!stats.isFile()) return { ok: false, problem: `the cookie file ${path} is not a file` }
  if ((stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
    return {
      ok: false,
      problem: `the cookie file ${path} has mode ${mode}, so others can use it; run: chmod 600 ${path}`,
    }
  }
  return checked((await readFile(path, 'utf8')).trim(), 'file', `the cookie in ${path}`)
}

/** Written beside and then linked, so that of two nodes that start at once both read the same whole cookie. */
async function makeCookieFile(path: string): Promise<CookieResult> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await writeFile(file, `${randomBytes(24).toString('base64url')}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await chmod(temporary, 0o600)
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await unlink(temporary)
  }
  const made = await readCookieFile(path)
  if (made === undefined) return { ok: false, problem: `the cookie file ${path} vanished while it was made` }
  return made.ok ? { ...made, source: 'new_file' } : made
}

/** Erlang keeps a cookie as an atom: at most 255 characters. */
function checked(cookie: string, source: 'option' | 'environment' | 'file', what: string): CookieResult {
  if (cookie === '') return { ok: false, problem: `${what} is empty` }
  if (cookie.length > 255) return { ok: false, problem: `${what} is longer than 255 characters` }
  if (/[^\x21-\x7e]/.test(cookie)) return { ok: false, problem: `${what} has characters other than printable ASCII` }
  return { ok: true, cookie, source }
}
