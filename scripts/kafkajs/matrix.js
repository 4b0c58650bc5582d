// kafkajs against kring: records of every size, the compressions it has without
// plugins, every acks, idempotence, transactions, and a group that rebalances.
//
// usage: node matrix.js HOST:PORT

'use strict'

const assert = require('node:assert/strict')
const { createHash } = require('node:crypto')
const { setTimeout: pause } = require('node:timers/promises')
const { Kafka, CompressionTypes, Partitioners, logLevel } = require('kafkajs')

const RECORDS = 10_000
const SIZE_MAX = 1 << 20
const PATIENCE_MS = 120_000

const kafka = new Kafka({
  clientId: 'kring-kafkajs',
  brokers: [process.argv[2]],
  // It logs every rebalance as an error; what really fails is thrown.
  logLevel: logLevel.NOTHING,
})

// size gives record i its size: one in 1,000 has 1 MiB, one in 50 has nothing,
// the others spread evenly over the magnitudes up to 16 KiB.
function size(i) {
  if (i % 1000 === 0) return SIZE_MAX
  if (i % 50 === 1) return 0
  return Math.floor(2 ** (1 + ((i * 7919) % 1301) / 100))
}

// value makes the bytes of record i, which follow from i alone. Even ones can't
// be compressed, odd ones can.
function value(i, bytes = size(i)) {
  const content = Buffer.alloc(bytes)
  let block = createHash('sha256').update(`record ${i}`).digest()
  for (let at = 0; at < bytes; at += block.length) {
    block.copy(content, at)
    if (i % 2 === 0) block = createHash('sha256').update(block).digest()
  }
  return content
}

const record = (i, bytes) => ({ key: String(i), value: value(i, bytes) })

async function createTopic(topic, numPartitions) {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic, numPartitions, configEntries: [{ name: 'max.message.bytes', value: String(4 * SIZE_MAX) }] }],
  })
  await admin.disconnect()
}

// send writes the records [from, to), a hundred at a time.
async function send(sender, topic, from, to, options = {}, bytes = undefined) {
  for (let at = from; at < to; at += 100) {
    const messages = []
    for (let i = at; i < Math.min(to, at + 100); i++) messages.push(record(i, bytes))
    await sender.send({ topic, messages, ...options })
  }
}

async function until(what, holds) {
  const deadline = Date.now() + PATIENCE_MS
  while (!holds()) {
    assert.ok(Date.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`)
    await pause(20)
  }
}

// Member is one consumer whose records end in a ledger: key → times seen.
class Member {
  constructor(groupId, ledger, bytes, readUncommitted = false) {
    this.ledger = ledger
    this.bytes = bytes
    this.seen = 0
    this.faults = []
    this.consumer = kafka.consumer({
      groupId,
      readUncommitted,
      sessionTimeout: 10_000,
      rebalanceTimeout: 10_000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: 200,
      maxBytesPerPartition: 2 * SIZE_MAX,
    })
  }

  async join(topic) {
    await this.consumer.connect()
    await this.consumer.subscribe({ topic, fromBeginning: true })
    await this.consumer.run({
      autoCommitInterval: 200,
      eachMessage: async ({ message }) => {
        const i = Number(message.key)
        if (!value(i, this.bytes).equals(message.value ?? Buffer.alloc(0))) this.faults.push(i)
        this.ledger.set(i, (this.ledger.get(i) ?? 0) + 1)
        this.seen++
      },
    })
    return this
  }

  async leave() {
    await this.consumer.disconnect()
    assert.deepEqual(this.faults, [], 'records that came back changed')
  }
}

function check(ledger, wanted) {
  const missing = wanted.filter((i) => !ledger.has(i))
  assert.equal(missing.length, 0, `${missing.length} records never came back, the first is ${missing[0]}`)
  assert.equal(ledger.size, wanted.length, 'records came back that should be invisible')
}

const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n)

async function everyRecordComesBackByteForByte() {
  await createTopic('bytes', 3)
  const variants = []
  for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
    for (const acks of [0, 1, -1]) variants.push({ compression, acks })
    variants.push({ compression, acks: -1, idempotent: true })
  }
  // With acks 0 nobody promises that bytes survive a close they raced with: the
  // producers stay open until everything was read.
  const open = []
  for (const [n, { idempotent = false, ...options }] of variants.entries()) {
    const producer = kafka.producer({ idempotent, createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    open.push(producer)
    await send(producer, 'bytes', (n * RECORDS) / variants.length, ((n + 1) * RECORDS) / variants.length, options)
  }
  const ledger = new Map()
  const member = await new Member('bytes', ledger).join('bytes')
  await until('every record came back', () => ledger.size === RECORDS)
  await member.leave()
  check(ledger, range(0, RECORDS))
  for (const producer of open) await producer.disconnect()
}

async function abortedRecordsAreInvisible() {
  await createTopic('transactions', 3)
  const producer = kafka.producer({
    transactionalId: 'kafkajs',
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  // The last one commits, so that who saw it has gone past everything aborted.
  for (const [from, to, commit] of [[0, 400, true], [400, 700, false], [700, 1000, true]]) {
    const transaction = await producer.transaction()
    await send(transaction, 'transactions', from, to, {}, 512)
    await (commit ? transaction.commit() : transaction.abort())
  }
  await producer.disconnect()
  const committed = new Map()
  const strict = await new Member('strict', committed, 512).join('transactions')
  const every = new Map()
  const lax = await new Member('lax', every, 512, true).join('transactions')
  await until('both readers saw the end', () => committed.size >= 700 && every.size >= 1000)
  await strict.leave()
  await lax.leave()
  check(committed, [...range(0, 400), ...range(700, 1000)])
  check(every, range(0, 1000))
}

async function rebalancingGroupSeesEveryRecordAndResumes() {
  await createTopic('group', 6)
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  let written = 0
  const write = async (n) => {
    await send(producer, 'group', written, written + n, {}, 256)
    written += n
  }
  // The topic grows while members come and go, so that each finds something.
  let growing = true
  const growth = (async () => {
    while (growing) {
      await write(100)
      await pause(50)
    }
  })()
  const ledger = new Map()
  const first = await new Member('group', ledger, 256).join('group')
  const second = await new Member('group', ledger, 256).join('group')
  await until('both first members read something', () => first.seen > 0 && second.seen > 0)
  const late = await new Member('group', ledger, 256).join('group')
  await until('the late member reads something', () => late.seen > 0)
  await second.leave()
  growing = false
  await growth
  await write(Math.max(500, RECORDS - written))
  await until('the remaining members have read everything', () => ledger.size === written)
  await first.leave()
  await late.leave()
  check(ledger, range(0, written))

  const total = written
  await write(500)
  const after = new Map()
  const resumed = await new Member('group', after, 256).join('group')
  await until('a resumed group reads what was written since', () => after.size >= 500)
  await resumed.leave()
  check(after, range(total, written))
  await producer.disconnect()
}

async function main() {
  for (const property of [everyRecordComesBackByteForByte, abortedRecordsAreInvisible, rebalancingGroupSeesEveryRecordAndResumes]) {
    const start = Date.now()
    await property()
    console.log(`  ${property.name} (${((Date.now() - start) / 1000).toFixed(1)} s)`)
  }
}

main().catch((fault) => {
  console.error(fault)
  process.exit(1)
})
