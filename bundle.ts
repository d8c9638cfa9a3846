/**
 * Writes the JavaScript of build/: `npm run build`, beside tsc, which writes the declarations.
 *
 * A program that is a few files starts in half the time of one that is six hundred. Everything that is exported and every program is an
 * entry of one build with code splitting, so that what two of them share is in a file that both import: a program that imports
 * `agner/broker` has the classes of the node that it runs in. Programs that only tests run are a build of their own, which is not published.
 *
 * Libraries are taken in, with their licences, but those whose state or objects users share with us: actors of nact are found in a table that
 * is nact's own, and loggers of pino are handed in.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build, type Metafile } from 'esbuild'

const ROOT = import.meta.dirname
/** Libraries that stay what they are. */
const EXTERNAL = ['nact', 'pino']
const TEST_PROGRAMS = [
  'test/support/fault-node.ts',
  'test/support/front-node.ts',
  'test/support/table-node.ts',
  'test/mnesia/store-filler.ts',
  'test/mnesia/store-writer.ts',
]

/** Builds `entries` into the folder `part` of `out` and deletes what an earlier build has left there. */
async function bundle(out: string, part: 'src' | 'test', entries: readonly string[]): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [...entries],
    outdir: out,
    outbase: '.',
    chunkNames: `${part}/chunks/[hash]`,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.11',
    external: EXTERNAL,
    // CommonJS libraries ask for Node's modules by it.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url)",
    },
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
  })
  const written = new Set(Object.keys(metafile.outputs).map((path) => resolve(ROOT, path)))
  const folder = join(out, part)
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = join(folder, path)
    if (/\.js(\.map)?$/.test(path) && !written.has(file)) rmSync(file)
  }
  return metafile
}

/** The licences of the libraries that are in a build, as their terms ask. */
function licences({ inputs }: Metafile): string {
  const folders = new Set(
    Object.keys(inputs).flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  )
  return [...folders]
    .sort()
    .map((path) => {
      const folder = join(ROOT, path)
      const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        name: string
        version: string
      }
      const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|$)/i.test(entry))
      if (file === undefined) throw new Error(`${name} comes without a licence`)
      return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}

/** Writes all JavaScript of the package, and of the programs of tests, into the folder `out`. */
export async function bundleAll(out: string): Promise<void> {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string }>
  }
  const exported = Object.values(exports).map((path) => path.default.replace(/^\.\/build\/(.*)\.js$/, '$1.ts'))
  const programs = readdirSync(join(ROOT, 'src/boot')).filter((file) => /^(.*-)?main\.ts$/.test(file))
  const metafile = await bundle(out, 'src', [...exported, ...programs.map((file) => `src/boot/${file}`)])
  writeFileSync(join(out, 'src/third-party-licences.txt'), licences(metafile))
  await bundle(out, 'test', TEST_PROGRAMS)
}

if (resolve(process.argv[1] ?? '') === import.meta.filename) await bundleAll(join(ROOT, 'build'))
