/** Stores on disc for tests, in directories of their own that are removed when the test ends. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { realSystem } from '../../src/actors/system.ts'
import { type OpenedStore, type OpenStoreOptions, openStore } from '../../src/mnesia/store/open-store.ts'

export function storeDirectory(): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'agner-store-'))
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

export function open(directory: string, options: Partial<OpenStoreOptions> = {}): Promise<OpenedStore> {
  return openStore({ directory, system: realSystem(), ...options })
}
