import { testSchedules } from './run-schedules.ts'

testSchedules(1501, 500)
