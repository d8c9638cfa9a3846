import { testSchedules } from './run-schedules.ts'

testSchedules(1001, 500)
