/**
 * Passwords of users and of client ids: kept as scrypt hashes, checked off the event loop.
 *
 * A hash is written `scrypt$N$r$p$salt$key`, so its cost travels with it and can be raised for new passwords. Checks run in
 * libuv's threads; how many wait is bounded, since each costs tens of milliseconds and anybody may ask for one.
 */
import { scrypt, timingSafeEqual } from 'node:crypto'

/** CPU and memory cost (N), block size (r) and parallelism (p) of new hashes: 16 MB and some 50 ms each. */
const COST = { N: 16_384, r: 8, p: 1 }
const KEY_BYTES = 32
/** More checks than this at a time are refused as busy. */
const MAX_WAITING = 1000
/** 128 * N * r bytes are needed; a configured hash that needs more than this is refused. */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024

/** The hash of a password, in the form that configuration takes. `salt` is 16 random bytes. */
export async function hashPassword(password: Buffer, salt: Uint8Array): Promise<string> {
  const key = await derive(password, salt, COST)
  return `scrypt$${COST.N}$${COST.r}$${COST.p}$${toText(salt)}$${toText(key)}`
}

/** Whether a password is that of a hash; false for text that is no hash. */
export async function verifyPassword(password: Buffer, hash: string): Promise<boolean> {
  const [scheme, N, r, p, salt, key] = hash.split('$')
  if (scheme !== 'scrypt' || salt === undefined || key === undefined) return false
  const expected = Buffer.from(key, 'base64url')
  if (expected.length !== KEY_BYTES) return false
  try {
    const cost = { N: Number(N), r: Number(r), p: Number(p) }
    return timingSafeEqual(await derive(password, Buffer.from(salt, 'base64url'), cost), expected)
  } catch {
    // A cost that scrypt does not take: the configuration is wrong, and nobody gets in by it.
    return false
  }
}

/** Checks passwords, a bounded number at a time. */
export class PasswordChecker {
  #waiting = 0

  /** Checks a password against the hash of a name; 'busy' when too many checks wait. */
  async check(password: Buffer | undefined, hash: string): Promise<'ok' | 'wrong' | 'busy'> {
    if (password === undefined) return 'wrong'
    if (this.#waiting >= MAX_WAITING) return 'busy'
    this.#waiting += 1
    try {
      return (await verifyPassword(password, hash)) ? 'ok' : 'wrong'
    } finally {
      this.#waiting -= 1
    }
  }
}

function derive(password: Buffer, salt: Uint8Array, cost: { N: number; r: number; p: number }): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, { ...cost, maxmem: MAX_MEMORY_BYTES }, (error, key) =>
      error ? reject(error) : resolve(key),
    )
  })
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
