"""kafka-python, a client in Python alone: what a program does with it, for versions from 2.0 on.

usage: kafka_python.py VERSION SERVER ADDRESS
"""

import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

from report import PATIENCE_S, Report, arguments, becomes, equal, record

# How long a poll may take. 2.3 and 3.0 lose what a group assigned to them when a poll ends
# between JoinGroup and SyncGroup of a member that joins again for a new topic: the next poll
# finds no reason to join (ConsumerCoordinator.need_rejoin), and so never applies what came.
# On a loaded machine that is one of ten. A poll that brings records ends at once.
POLL_MS = 20_000

version, server, addr = arguments()
level = tuple(int(n) for n in version.split(".")[:2])
report = Report("kafka-python", version, server)
prefix = report.prefix
if kafka.__version__ != version:
    raise SystemExit(f"kafka-python is {kafka.__version__}, want {version}")

settings = {"bootstrap_servers": addr, "client_id": f"kring-kafka-python-{version}", "metadata_max_age_ms": 1000}
admin = KafkaAdminClient(**settings)


def create(topic, partitions=1):
    admin.create_topics([NewTopic(topic, partitions, 1)])
    becomes("a created topic is listed", True, lambda: topic in admin.list_topics())


def producer(**more):
    if level >= (2, 1):
        more = {"enable_idempotence": True, **more}
    return KafkaProducer(**settings, acks="all", linger_ms=20, retries=10, **more)


def send(p, topic, first, last, partitions=1):
    sent = []
    for i in range(first, last):
        key, value, headers, at = record(i)
        sent.append(p.send(topic, value, key, headers, i % partitions, at))
    p.flush(PATIENCE_S)
    for one in sent:
        one.get(PATIENCE_S)


def consumer(*topics, **more):
    return KafkaConsumer(*topics, **{**settings, "auto_offset_reset": "earliest", "enable_auto_commit": False, **more})


def read(c, n):
    got, end = [], time.monotonic() + PATIENCE_S
    while len(got) < n:
        if time.monotonic() > end:
            raise AssertionError(f"only {len(got)} of {n} records came within a minute; subscribed to {c.subscription()}, assigned {c.assignment()}")
        for records in c.poll(POLL_MS).values():
            got += [(r.key, r.value, [tuple(h) for h in r.headers], r.timestamp) for r in records]
    return sorted(got, key=lambda r: r[3])


def want(*ranges):
    return [record(i) for r in ranges for i in range(*r)]


def topics():
    topic = prefix + "admin"
    admin.create_topics([NewTopic(topic, 2, 1, topic_configs={"retention.ms": "3600000"})])
    becomes("partitions", 2, lambda: partitions(topic))
    admin.create_partitions({topic: NewPartitions(4)})
    becomes("partitions", 4, lambda: partitions(topic))
    equal("brokers", 1, len(admin.describe_cluster()["brokers"]))
    equal("retention.ms", True, "3600000" in str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])))
    admin.delete_topics([topic])
    becomes("a deleted topic is listed", False, lambda: topic in admin.list_topics())


def partitions(topic):
    return sum(len(t["partitions"]) for t in admin.describe_topics() if t.get("topic", t.get("name")) == topic)


def codecs():
    for codec in [None, "gzip", "snappy", "lz4", "zstd"]:
        topic = prefix + "codec-" + (codec or "none")
        create(topic)
        p = producer(compression_type=codec)
        send(p, topic, 0, 200)
        p.close()
        c, at = consumer(), TopicPartition(topic, 0)
        c.assign([at])
        equal(codec, want((0, 200)), read(c, 200))
        equal("offset for a time", 100, c.offsets_for_times({at: record(100)[3]})[at].offset)
        equal("end", {at: 200}, c.end_offsets([at]))
        c.close()


def group():
    topic, name = prefix + "group", prefix + "classic"
    create(topic, 3)
    p, got = producer(), []
    for first in (0, 150):
        send(p, topic, first, first + 150, 3)
        c = consumer(topic, group_id=name)
        got += read(c, 150)
        c.commit()
        c.close()
    p.close()
    equal("what the group read", want((0, 300)), got)


def pattern():
    create(prefix + "pattern-a")
    create(prefix + "unmatched")
    p = producer()
    send(p, prefix + "unmatched", 500, 510)
    send(p, prefix + "pattern-a", 0, 10)
    c = consumer(group_id=prefix + "pattern")
    c.subscribe(pattern="^" + prefix.replace(".", "[.]") + "pattern-.*")
    got = read(c, 10)
    c.commit()
    create(prefix + "pattern-b")
    send(p, prefix + "pattern-b", 10, 20)
    got += read(c, 10)
    p.close()
    c.close()
    equal("what the pattern read", want((0, 20)), got)


def transactions():
    topic, at = prefix + "transactions", TopicPartition(prefix + "transactions", 0)
    create(topic)
    p = producer(transactional_id=prefix + "id")
    p.init_transactions()
    for first, commit in ((0, True), (20, False), (40, True)):
        p.begin_transaction()
        send(p, topic, first, first + 20)
        if first < 40:
            p.send_offsets_to_transaction({at: OffsetAndMetadata(first + 20, "", -1)}, prefix + "transactional")
        p.commit_transaction() if commit else p.abort_transaction()
    p.close()
    for isolation, records in (("read_committed", want((0, 20), (40, 60))), ("read_uncommitted", want((0, 60)))):
        c = consumer(group_id=prefix + "transactional", isolation_level=isolation)
        c.assign([at])
        equal("committed offset", 20, c.committed(at))
        c.seek_to_beginning()
        equal(isolation, records, read(c, len(records)))
        c.close(autocommit=False)


def fencing():
    topic, wrong = prefix + "fencing", []
    create(topic)
    for meets in ("produce", "commit", "begin"):
        older, newer = (producer(transactional_id=prefix + "fenced-" + meets) for _ in range(2))
        older.init_transactions()
        if meets != "begin":
            older.begin_transaction()
            send(older, topic, 0, 5)
        newer.init_transactions()
        try:
            if meets == "begin":
                older.begin_transaction()
            if meets != "commit":
                send(older, topic, 5, 10)
            older.commit_transaction()
            wrong.append(f"{meets} was not fenced")
        except KafkaError as e:
            if not isinstance(e, (ProducerFencedError, InvalidProducerEpochError)) and "Fenced" not in repr(e) and "Epoch" not in repr(e):
                wrong.append(f"{meets}: {e!r}")
        newer.close()
        older.close(timeout=5)
    equal("fencing", [], wrong)


report.part("admin", topics)
report.part("codecs", codecs)
report.part("group", group)
report.part("pattern", pattern)
if level >= (2, 1):
    report.part("transactions", transactions)
    report.part("fencing", fencing)
report.done()
