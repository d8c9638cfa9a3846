/** Writes docs/mqtt-conformance.md from the statements and the names of the tests: `node --import tsx test/conformance/table.ts`. */
import { writeFileSync } from 'node:fs'
import { conformanceTable } from './statements.ts'

writeFileSync(new URL('../../docs/mqtt-conformance.md', import.meta.url), conformanceTable())
