/** Stores on disc for tests, in directories of their own that are removed when the test ends. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { realSystem } from '../../src/actors/system.ts'
import { type OpenedStore, type OpenStoreOptions, openStore } from '../../src/mnesia/store/open-store.ts'

/**
 * `inMemory`: where a flush costs little, if there is such a place. A killed process leaves the same behind on any file
 * system; only a machine that loses power does not.
 */
export function storeDirectory({ inMemory = false } = {}): string {
  const parent = inMemory && fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
  const directory = fs.mkdtempSync(join(parent, 'agner-store-'))
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

export function open(directory: string, options: Partial<OpenStoreOptions> = {}): Promise<OpenedStore> {
  return openStore({ directory, system: realSystem(), ...options })
}
