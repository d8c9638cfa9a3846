/** `retained`: the retained messages of the cluster. */
import type { RetainedRow } from '../../broker/tables.ts'
import { type Command, done, NOT_FOUND, OK } from '../command.ts'
import { record, tooMany, unixSeconds } from '../format.ts'

export const retained: Command = {
  name: 'retained',
  usages: [
    { syntax: 'retained list', text: 'Topics of all retained messages, sorted' },
    { syntax: 'retained show <Topic>', text: 'The retained message of a topic, with its payload' },
    { syntax: 'retained delete <Topic>', text: 'Remove the retained message of a topic' },
  ],
  run({ services: { retainer } }, [action, topic, ...more]) {
    if (action === 'list' && topic === undefined) {
      const refusal = tooMany('retained messages', retainer.count)
      if (refusal !== undefined) return refusal
      const rows = [...retainer.rows()]
      return done(rows.map(retainedLine), rows.map(retainedData))
    }
    if (topic === undefined || more.length > 0) return undefined
    if (action === 'delete') return retainer.delete(topic) ? OK : NOT_FOUND
    if (action !== 'show') return undefined
    const row = retainer.row(topic)
    if (row === undefined) return NOT_FOUND
    const { payload } = row.message
    const shown = isText(payload) ? payload.toString('utf8') : payload.toString('hex')
    return done([retainedLine(row), shown], { ...retainedData(row), payload: payload.toString('base64') })
  },
}

function retainedLine(row: RetainedRow): string {
  const { qos, bytes, publishedAt, expiresAt } = retainedData(row)
  return record('Retained', row.topic, [
    ['qos', qos],
    ['bytes', bytes],
    ['published_at', publishedAt],
    ['expires_at', expiresAt ?? 'never'],
  ])
}

function retainedData({ topic, message, expiresAtMs }: RetainedRow) {
  return {
    topic,
    qos: message.qos,
    bytes: message.payload.length,
    publishedAt: unixSeconds(message.publishedAtMs),
    expiresAt: expiresAtMs === Number.POSITIVE_INFINITY ? null : unixSeconds(expiresAtMs),
  }
}

/** Whether a terminal can show it as it is. */
function isText(payload: Buffer): boolean {
  const text = payload.toString('utf8')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it looks for
  return !/[\u0000-\u0008\u000b-\u001f\u007f\ufffd]/.test(text)
}
