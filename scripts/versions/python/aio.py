"""aiokafka: what a program does with it.

usage: aio.py VERSION SERVER ADDRESS
"""

import asyncio
import re

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import ProducerFenced

from report import PATIENCE_S, Report, arguments, equal, record

version, server, addr = arguments()
report = Report("aiokafka", version, server)
prefix = report.prefix
if aiokafka.__version__ != version:
    raise SystemExit(f"aiokafka is {aiokafka.__version__}, want {version}")

settings = {"bootstrap_servers": addr, "client_id": f"kring-aiokafka-{version}", "metadata_max_age_ms": 1000}


async def create(topic, partitions=1):
    admin = AIOKafkaAdminClient(**settings)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
        await becomes("a created topic is listed", True, lambda: listed(admin, topic))
    finally:
        await admin.close()


async def listed(admin, topic):
    return topic in await admin.list_topics()


async def becomes(what, right, found):
    end = asyncio.get_running_loop().time() + 20
    while (got := await found()) != right and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.02)
    equal(what, right, got)


def producer(**more):
    return AIOKafkaProducer(**{**settings, "acks": "all", "linger_ms": 20, "enable_idempotence": True, **more})


async def send(p, topic, first, last, partitions=1):
    sent = []
    for i in range(first, last):
        key, value, headers, at = record(i)
        sent.append(await p.send(topic, value, key, i % partitions, at, headers))
    await asyncio.wait_for(asyncio.gather(*sent), PATIENCE_S)


def consumer(*topics, **more):
    return AIOKafkaConsumer(*topics, **{**settings, "auto_offset_reset": "earliest", "enable_auto_commit": False, **more})


async def read(c, n):
    got, loop = [], asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while len(got) < n:
        if loop.time() > end:
            raise AssertionError(f"only {len(got)} of {n} records came within a minute")
        for records in (await c.getmany(timeout_ms=200)).values():
            got += [(r.key, r.value, [tuple(h) for h in r.headers], r.timestamp) for r in records]
    return sorted(got, key=lambda r: r[3])


def want(*ranges):
    return [record(i) for r in ranges for i in range(*r)]


async def topics():
    topic = prefix + "admin"
    await create(topic, 2)
    admin = AIOKafkaAdminClient(**settings)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(4)})

    async def partitions():
        return len((await admin.describe_topics([topic]))[0]["partitions"])

    await becomes("partitions", 4, partitions)
    await admin.delete_topics([topic])
    await becomes("a deleted topic is listed", False, lambda: listed(admin, topic))
    await admin.close()


async def codecs():
    for codec in [None, "gzip", "snappy", "lz4", "zstd"]:
        topic = prefix + "codec-" + (codec or "none")
        await create(topic)
        async with producer(compression_type=codec) as p:
            await send(p, topic, 0, 200)
        at = TopicPartition(topic, 0)
        async with consumer() as c:
            c.assign([at])
            equal(codec, want((0, 200)), await read(c, 200))
            equal("offset for a time", 100, (await c.offsets_for_times({at: record(100)[3]}))[at].offset)
            equal("end", {at: 200}, await c.end_offsets([at]))


async def group():
    topic, got = prefix + "group", []
    await create(topic, 3)
    async with producer() as p:
        for first in (0, 150):
            await send(p, topic, first, first + 150, 3)
            async with consumer(topic, group_id=prefix + "classic") as c:
                got += await read(c, 150)
                await c.commit()
    equal("what the group read", want((0, 300)), got)


async def pattern():
    await create(prefix + "pattern-a")
    await create(prefix + "unmatched")
    async with producer() as p, consumer(group_id=prefix + "pattern") as c:
        await send(p, prefix + "unmatched", 500, 510)
        await send(p, prefix + "pattern-a", 0, 10)
        c.subscribe(pattern="^" + re.escape(prefix) + "pattern-.*")
        got = await read(c, 10)
        await c.commit()
        await create(prefix + "pattern-b")
        await send(p, prefix + "pattern-b", 10, 20)
        got += await read(c, 10)
    equal("what the pattern read", want((0, 20)), got)


async def transactions():
    topic, at = prefix + "transactions", TopicPartition(prefix + "transactions", 0)
    await create(topic)
    async with producer(transactional_id=prefix + "id") as p:
        for first, commit in ((0, True), (20, False), (40, True)):
            await p.begin_transaction()
            await send(p, topic, first, first + 20)
            if first < 40:
                await p.send_offsets_to_transaction({at: first + 20}, prefix + "transactional")
            await (p.commit_transaction() if commit else p.abort_transaction())
    for isolation, records in (("read_committed", want((0, 20), (40, 60))), ("read_uncommitted", want((0, 60)))):
        async with consumer(group_id=prefix + "transactional", isolation_level=isolation) as c:
            c.assign([at])
            equal("committed offset", 20, await c.committed(at))
            await c.seek_to_beginning(at)
            equal(isolation, records, await read(c, len(records)))


async def fencing():
    """The older producer is told that it is fenced, by that name."""
    topic, wrong = prefix + "fencing", []
    await create(topic)
    for meets in ("produce", "commit", "begin"):
        older, newer = (producer(transactional_id=prefix + "fenced-" + meets, linger_ms=0) for _ in range(2))
        await older.start()
        if meets != "begin":
            await older.begin_transaction()
            await send(older, topic, 0, 5)
        await newer.start()
        try:
            if meets == "begin":
                await older.begin_transaction()
            if meets != "commit":
                await send(older, topic, 5, 10)
            await older.commit_transaction()
            wrong.append(f"{meets} was not fenced")
        except ProducerFenced:
            pass
        except Exception as e:
            wrong.append(f"{meets}: {e!r}")
        await newer.stop()
        try:
            await asyncio.wait_for(older.stop(), 10)
        except Exception:
            pass  # it is fenced: how it ends is not the question
    equal("fencing", [], wrong)


for name, body in (("admin", topics), ("codecs", codecs), ("group", group), ("pattern", pattern),
                   ("transactions", transactions), ("fencing", fencing)):
    report.part(name, lambda: asyncio.run(asyncio.wait_for(body(), 4 * PATIENCE_S)))
report.done()
