// @platformatic/kafka: what a program does with it.
//
// usage: node matrix.mjs VERSION SERVER ADDRESS

import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { deepStrictEqual } from 'node:assert'
import zlib from 'node:zlib'
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'

const [version, server, address] = process.argv.slice(2)
const prefix = `platformatic..${version}..`
const patience = 60_000
// The time of the first record: young enough to be kept, and not that of the
// broker's clock.
const first = BigInt(Date.now() - 3_600_000)
const common = { clientId: `kring-platformatic-${version}`, bootstrapBrokers: [address], metadataMaxAge: 1000, retries: 3 }

function line(part, how) {
  console.log(['result', 'platformatic', version, server, part, how.replace(/\s+/g, ' ')].join('\t'))
}

// reason is what went wrong; this client's errors have their causes in a list.
function reason(error) {
  const causes = (error.errors ?? []).map(reason).join('; ')
  return `${error.name} ${error.code ?? ''}: ${error.message}${causes && ` <- ${causes}`}`
}

async function part(name, body) {
  const late = new AbortController()
  try {
    await Promise.race([
      body(),
      delay(2 * patience, null, { signal: late.signal }).then(() => { throw new Error('not done within two minutes') })
    ])
    line(name, 'ok')
  } catch (error) {
    line(name, `FAIL ${reason(error)}`)
  } finally {
    late.abort()
  }
}

// becomes waits until what is found is what is right: some answers are so only
// after a moment.
async function becomes(what, right, found) {
  const end = Date.now() + 20_000
  for (;;) {
    const got = await found()
    if (got === right) return
    if (Date.now() > end) throw new Error(`${what}: want ${right}, got ${got}`)
    await delay(20)
  }
}

const admin = new Admin(common)

async function create(topic, partitions = 1) {
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
  await becomes('a created topic is listed', true, async () => (await admin.listTopics()).includes(topic))
}

function record(topic, partition, i) {
  return {
    topic,
    partition,
    key: `key-${i}`,
    value: `${i} ` + 'kring '.repeat((i % 50) + 10),
    headers: { n: String(i) },
    timestamp: first + BigInt(i)
  }
}

function records(topic, partitions, from, to) {
  return Array.from({ length: to - from }, (_, i) => record(topic, (from + i) % partitions, from + i))
}

function text(key, value, n, timestamp) {
  return `${key}|${value}|${n}|${timestamp}`
}

function want(...ranges) {
  return ranges.flatMap(([from, to]) => records('', 1, from, to)).map(r => text(r.key, r.value, r.headers.n, r.timestamp)).sort()
}

async function producing(options, body) {
  const producer = new Producer({ ...common, serializers: stringSerializers, acks: -1, idempotent: true, ...options })
  try {
    return await body(producer)
  } finally {
    await producer.close(true)
  }
}

// reading hands body a function that reads the next n records of the group.
async function reading(groupId, topics, options, body) {
  const consumer = new Consumer({ ...common, groupId, deserializers: stringDeserializers, autocommit: false, ...options })
  let stream
  try {
    stream = await consumer.consume({ topics, mode: 'committed', fallbackMode: 'earliest', maxWaitTime: 200 })
    const got = stream[Symbol.asyncIterator]()
    return await body(async n => {
      const all = []
      while (all.length < n) {
        const { value: m, done } = await got.next()
        if (done) throw new Error(`the stream ended after ${all.length} of ${n} records`)
        all.push(m)
      }
      return all
    })
  } finally {
    await stream?.close()
    await consumer.close(true)
  }
}

function texts(messages) {
  return messages.map(m => text(m.key, m.value, m.headers.get('n'), m.timestamp)).sort()
}

async function topics() {
  const topic = prefix + 'admin'
  await create(topic, 2)
  const described = async () => (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)?.partitions.length
  await becomes('partitions', 2, described)
  await admin.createPartitions({ topics: [{ name: topic, count: 4, assignments: null }] })
  await becomes('partitions', 4, described)
  const [config] = await admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: topic, configurationKeys: [] }] })
  if (!config.configs.some(c => c.name === 'retention.ms')) throw new Error('a topic has no retention.ms')
  await admin.describeClientQuotas({ components: [], strict: false })
  await admin.deleteTopics({ topics: [topic] })
  await becomes('a deleted topic is listed', false, async () => (await admin.listTopics()).includes(topic))
}

async function codecs() {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', ...(zlib.zstdCompressSync ? ['zstd'] : [])]) {
    const topic = `${prefix}codec-${codec}`
    await create(topic)
    await producing({}, producer => producer.send({ messages: records(topic, 1, 0, 200), compression: codec }))
    await reading(prefix + codec, [topic], {}, async next => {
      deepStrictEqual(texts(await next(200)), want([0, 200]), codec)
    })
  }
}

async function groupOf(kind, options) {
  const topic = `${prefix}group-${kind}`
  await create(topic, 3)
  const got = []
  await producing({}, async producer => {
    for (const from of [0, 150]) {
      await producer.send({ messages: records(topic, 3, from, from + 150) })
      await reading(prefix + kind, [topic], options, async next => {
        const messages = await next(150)
        for (const m of messages) await m.commit()
        got.push(...messages)
      })
    }
  })
  deepStrictEqual(texts(got), want([0, 300]))
  if (!(await admin.listGroups({ types: ['classic', 'consumer'] })).has(prefix + kind)) throw new Error('the group is not listed')
  await admin.deleteGroups({ groups: [prefix + kind] })
}

async function transactions() {
  const topic = prefix + 'transactions'
  await create(topic)
  await producing({ transactionalId: prefix + 'id' }, async producer => {
    for (const [from, commit] of [[0, true], [20, false], [40, true]]) {
      const transaction = await producer.beginTransaction()
      await transaction.send({ messages: records(topic, 1, from, from + 20) })
      await (commit ? transaction.commit() : transaction.abort())
    }
  })
  for (const [isolationLevel, right] of [[1, want([0, 20], [40, 60])], [0, want([0, 60])]]) {
    await reading(`${prefix}isolation-${isolationLevel}`, [topic], { isolationLevel }, async next => {
      deepStrictEqual(texts(await next(right.length)), right)
    })
  }
}

const manifest = new URL('./node_modules/@platformatic/kafka/package.json', import.meta.url)
if (JSON.parse(readFileSync(manifest)).version !== version) {
  throw new Error(`@platformatic/kafka is not of version ${version}`)
}
await part('admin', topics)
await part('codecs', codecs)
await part('group', () => groupOf('classic', { groupProtocol: 'classic' }))
await part('kip848', () => groupOf('consumer', { groupProtocol: 'consumer' }))
await part('transactions', transactions)
line('done', 'ok')
process.exit()
