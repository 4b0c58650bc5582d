// Connects with kafkajs as the cases say, for scripts/secure.sh.
//
// usage: node secure.js CASES

'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { Kafka, Partitioners, logLevel } = require('kafkajs')

const RECORDS = 20

function sasl(c) {
  if (c.mechanism === '-') return undefined
  if (c.mechanism === 'OAUTHBEARER') {
    return { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: c.password }) }
  }
  return { mechanism: c.mechanism.toLowerCase(), username: c.user, password: c.password }
}

function ssl(c) {
  if (c.ca === '-') return undefined
  const own = c.cert === '-' ? {} : { cert: fs.readFileSync(c.cert), key: fs.readFileSync(c.key) }
  return { ca: [fs.readFileSync(c.ca)], ...own }
}

// known waits until the broker knows the topic: Apache Kafka answers before that.
async function known(admin, topic) {
  for (let tries = 0; ; tries++) {
    try {
      await admin.fetchTopicMetadata({ topics: [topic] })
      return
    } catch (e) {
      if (tries === 600) throw e
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

async function exchange(c, topic) {
  const kafka = new Kafka({
    clientId: 'kring-secure', brokers: [c.addr], ssl: ssl(c), sasl: sasl(c), logLevel: logLevel.NOTHING, retry: { retries: 2, initialRetryTime: 100 },
    connectionTimeout: 60_000, authenticationTimeout: 60_000,
  })
  const admin = kafka.admin()
  try {
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false })
    await known(admin, topic)
  } finally {
    await admin.disconnect()
  }
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const sent = Array.from({ length: RECORDS }, (_, i) => `record ${i}`)
  await producer.send({ topic, messages: sent.map((value) => ({ value })) })
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: topic })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const got = []
  await new Promise((resolve, reject) => {
    consumer.run({ eachMessage: async ({ message }) => {
      got.push(message.value.toString())
      if (got.length === RECORDS) resolve()
    } }).catch(reject)
    consumer.on(consumer.events.CRASH, (e) => reject(e.payload.error))
  })
  await consumer.disconnect()
  assert.deepEqual(got, sent)
}

const refusals = {
  tls: /unable to verify the first certificate|alert (certificate required|unknown ca)/i,
  'tls-kafka': /unable to verify the first certificate|alert (bad certificate|certificate unknown)/i,
  sasl: /KafkaJSSASLAuthenticationError/,
}

async function attempt(c) {
  let verdict
  try {
    await exchange(c, `secure-kafkajs-${c.name}`)
    verdict = c.want === 'ok' ? 'ok' : 'FAIL let in'
  } catch (e) {
    const text = `${e.name} ${e.message} ${e.cause?.name} ${e.cause?.message}`.replace(/\s+/g, ' ')
    verdict = refusals[c.want]?.test(text) ? 'ok' : `FAIL ${text}`
  }
  console.log(`result\tkafkajs\t${c.name}\t${verdict}`)
}

const names = ['name', 'addr', 'ca', 'cert', 'key', 'mechanism', 'user', 'password', 'want']
const cases = fs.readFileSync(process.argv[2], 'utf8').trimEnd().split('\n').map((line) => {
  const fields = line.split('\t')
  return Object.fromEntries(names.map((name, i) => [name, fields[i]]))
})
Promise.all(cases.map(attempt)).then(() => process.exit(0))
