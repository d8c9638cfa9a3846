/** The bench's arithmetic: medians, ratios and verdicts, on rounds made by hand. */
import { describe, expect, it } from 'vitest'
import type { Round } from '../../bench/mqtt/loadgen.ts'
import { faults, format, median, type ScenarioResult, scenarioTable, verdicts } from '../../bench/mqtt/report.ts'
import type { Scenario } from '../../bench/mqtt/scenarios.ts'

const round = (figures: Record<string, number>, fault?: string): Round => ({ figures, fault })
const costs = (...us: number[]): Round[] => us.map((brokerUsPerOperation) => round({ brokerUsPerOperation }))

function scenario(targets: Scenario['targets']): Scenario {
  return { name: 'made-up', title: 'made up', layout: 'traffic', args: [], targets }
}

describe('median', () => {
  it('is the middle one of an odd number of rounds, whatever their order', () => {
    expect(median(costs(9, 1, 4), 'brokerUsPerOperation')).toBe(4)
  })
  it('is the mean of the two in the middle of an even number', () => {
    expect(median(costs(1, 9, 3, 5), 'brokerUsPerOperation')).toBe(4)
  })
  it('leaves out rounds without the figure and is undefined when none has it', () => {
    expect(median([round({}), ...costs(7)], 'brokerUsPerOperation')).toBe(7)
    expect(median([round({})], 'brokerUsPerOperation')).toBeUndefined()
  })
})

describe('format', () => {
  it.each([
    [0.185_23, '0.185'],
    [12.345, '12.3'],
    [345_409.4, '345,409'],
    [0, '0'],
    [undefined, '-'],
    [Number.NaN, '-'],
  ])('writes %d as %s', (value, text) => {
    expect(format(value)).toBe(text)
  })
})

describe('verdicts', () => {
  const result = (targets: Scenario['targets'], ours: Round[], theirs: Round[]): ScenarioResult => ({
    scenario: scenario(targets),
    brokers: [
      { broker: 'agner', rounds: ours },
      { broker: 'mosquitto', rounds: theirs },
    ],
  })

  it('compares medians of CPU per operation with mosquitto, larger is better for us', () => {
    const [verdict] = verdicts([result({ mosquittoOverOurs: 3 }, costs(2, 3, 100), costs(9, 9, 1))], 'agner')
    expect(verdict).toMatchObject({ wanted: 3, measured: 3, reached: true })
  })
  it('misses a cost that is above the target', () => {
    const [verdict] = verdicts([result({ cpuUs: 2 }, costs(2.5), costs(1))], 'agner')
    expect(verdict).toMatchObject({ reached: false })
  })
  it('compares p99 between the quietest rounds', () => {
    const p99 = (...ms: number[]): Round[] => ms.map((latencyP99Ms) => round({ latencyP99Ms }))
    const [verdict] = verdicts([result({ p99NoWorse: true }, p99(30, 2), p99(3, 9))], 'agner')
    expect(verdict).toMatchObject({ wanted: 3, measured: 2, reached: true })
  })
  it('does not judge what was not measured', () => {
    const [verdict] = verdicts([result({ cpuUs: 2 }, [round({}, 'did not start')], costs(1))], 'agner')
    expect(verdict).toMatchObject({ measured: undefined, reached: undefined })
  })
})

describe('a round with a fault', () => {
  it('is named below the table of its scenario', () => {
    const result: ScenarioResult = {
      scenario: scenario({}),
      brokers: [{ broker: 'agner', rounds: [round({ operationsPerSecond: 5 }), round({}, 'lost 3')] }],
    }
    expect(faults(result)).toEqual(['!! WRONG: agner, made-up, round 2: lost 3'])
    expect(scenarioTable(result, 'agner')).toContain('lost 3')
  })
})
