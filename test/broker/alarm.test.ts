import { beforeEach, describe, expect, it } from 'vitest'
import { Alarms } from '../../src/broker/alarm.ts'
import { alarmPublisher, type SysPublish } from '../../src/broker/sys-events.ts'

let nowMs: number
let alarms: Alarms
let told: string[]
beforeEach(() => {
  nowMs = 1_795_306_195_400
  told = []
  alarms = new Alarms(() => nowMs)
  alarms.addHandler({
    alert: ({ id, summary }) => told.push(`alert ${id} ${summary}`),
    clear: ({ id }) => told.push(`clear ${id}`),
  })
})

const full = { id: 'full', severity: 'warning', title: 'Full', summary: '90 %' } as const

describe('an alarm', () => {
  it('is told when it is raised and when it is cleared, once each', () => {
    alarms.alert(full)
    alarms.alert({ ...full, summary: '95 %' })
    expect(alarms.clear('full')).toBe(true)
    expect(alarms.clear('full')).toBe(false)
    expect(told).toEqual(['alert full 90 %', 'clear full'])
  })

  it('that is raised again while it is active keeps its time and takes the new summary', () => {
    alarms.alert(full)
    nowMs += 5000
    alarms.alert({ ...full, summary: '95 %' })
    expect(alarms.list()).toEqual([{ ...full, summary: '95 %', raisedAtMs: nowMs - 5000 }])
  })

  it('is listed until it is cleared, the oldest first', () => {
    alarms.alert(full)
    alarms.alert({ ...full, id: 'other' })
    expect(alarms.list().map(({ id }) => id)).toEqual(['full', 'other'])
    alarms.clear('full')
    expect(alarms.list().map(({ id }) => id)).toEqual(['other'])
  })

  it('is not told to a handler that was taken out', () => {
    const off = alarms.addHandler({ alert: () => told.push('second'), clear: () => undefined })
    off()
    alarms.alert(full)
    expect(told).toEqual(['alert full 90 %'])
  })

  it('is published with its times in seconds', () => {
    const published: [string, unknown, boolean][] = []
    const publish: SysPublish = (topic, payload, { retain }) =>
      void published.push([topic, JSON.parse(String(payload)), retain])
    alarms.addHandler(alarmPublisher({ node: 'n1@127.0.0.1', publish, nowMs: () => nowMs }))
    alarms.alert({ ...full, id: 'queue_high_watermark.a/b' })
    nowMs += 2000
    alarms.clear('queue_high_watermark.a/b')
    const prefix = '$SYS/brokers/n1@127.0.0.1/alarms/queue_high_watermark.a%2Fb'
    const id = 'queue_high_watermark.a/b'
    expect(published).toEqual([
      [`${prefix}/alert`, { id, severity: 'warning', title: 'Full', summary: '90 %', ts: 1_795_306_195 }, false],
      [`${prefix}/clear`, { id, ts: 1_795_306_197 }, false],
    ])
  })
})
