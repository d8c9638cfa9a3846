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

const nowhere = ['node_modules/**', 'build/**', ...leftOut.map(({ tests }) => tests)]

/** Tests that start other processes, and wait for them more than they work. */
const PROCESSES = [
  'test/boot/**/*.test.ts',
  'test/cluster/**/*.test.ts',
  'test/interop/**/*.test.ts',
  'test/mnesia/{log-store,store-damage,store-kill}.test.ts',
  'test/examples.test.ts',
]
/** Schedules under virtual time; thousands of them when they are asked for. */
const SCHEDULES = [
  'test/simulation/**/*.test.ts',
  'test/mnesia/{owned,shared,simulation}/**/*.test.ts',
  'test/broker/bridge.prop.test.ts',
  'test/dist/faults.test.ts',
]

/** How long something that hangs may take, on a machine that may be busy; nothing is measured by it. */
const boundMs = (testTimeout: number) => ({ testTimeout, hookTimeout: Math.min(testTimeout, 120_000) })

export default defineConfig({
  test: {
    pool: 'forks',
    // Loading the code anew takes longer than the tests of most files.
    isolate: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'processes',
          include: PROCESSES,
          exclude: nowhere,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
          ...boundMs(120_000),
        },
      },
      {
        extends: true,
        test: {
          name: 'schedules',
          include: SCHEDULES,
          exclude: nowhere,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          ...boundMs(1_800_000),
        },
      },
      {
        extends: true,
        test: {
          name: 'units',
          include: ['test/**/*.test.ts'],
          exclude: [...nowhere, ...PROCESSES, ...SCHEDULES],
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
          ...boundMs(60_000),
        },
      },
    ],
  },
})
