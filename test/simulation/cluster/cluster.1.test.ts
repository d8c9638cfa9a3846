import { testSchedules } from './run-schedules.ts'

testSchedules(1, 500)
