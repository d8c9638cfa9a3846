import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** Tests against other people's programs, and the programs: without them the tests are left out, and it is said. */
const FOREIGN = [
  { program: 'erl', tests: 'test/interop/erlang-*.test.ts' },
  { program: 'elixir', tests: 'test/interop/elixir-*.test.ts' },
  { program: 'mosquitto_pub', tests: 'test/interop/mosquitto-*.test.ts' },
]
const folders = (process.env.PATH ?? '').split(delimiter)
const leftOut = FOREIGN.filter(({ program }) => !folders.some((folder) => existsSync(join(folder, program))))
for (const { program, tests } of leftOut) console.warn(`${program} is not installed: leaving out ${tests}`)

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['node_modules/**', 'build/**', ...leftOut.map(({ tests }) => tests)],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
