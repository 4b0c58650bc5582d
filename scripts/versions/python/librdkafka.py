"""librdkafka by its Python binding: what a program does with it, for versions from 2.2 on.

usage: librdkafka.py VERSION SERVER ADDRESS
"""

import importlib.metadata
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import admin as ck

from report import PATIENCE_S, Report, arguments, becomes, equal, record

version, server, addr = arguments()
level = tuple(int(n) for n in version.split(".")[:2])
report = Report("librdkafka", version, server)
prefix = report.prefix
if importlib.metadata.version("confluent-kafka") != version:
    raise SystemExit(f"confluent-kafka is {importlib.metadata.version('confluent-kafka')}, want {version}")


def config(**more):
    # What a client logs at this level goes to stderr, which the script keeps.
    all = {"bootstrap.servers": addr, "client.id": f"kring-librdkafka-{version}", "log_level": 4, "topic.metadata.refresh.interval.ms": 1000}
    all.update({k.replace("_", "."): v for k, v in more.items()})
    return all


# Lives as long as the run: what it promised goes when it does.
admin = ck.AdminClient(config())


def each(futures):
    """Waits for what an admin call promises and returns the answers."""
    return {k: f.result(30) for k, f in futures.items()}


def create(topic, partitions=1, **settings):
    each(admin.create_topics([ck.NewTopic(topic, partitions, 1, config={k.replace("_", "."): v for k, v in settings.items()})]))
    becomes("the topic is there", None, lambda: admin.list_topics(topic, timeout=20).topics[topic].error)


def send(producer, topic, first, last, partitions=1):
    errors = []
    for i in range(first, last):
        key, value, headers, at = record(i)
        producer.produce(topic, value, key, i % partitions, timestamp=at, headers=headers,
                         on_delivery=lambda e, m: errors.append(e) if e else None)
    left = producer.flush(PATIENCE_S)
    equal("records that are on their way after a minute", 0, left)
    if errors:
        raise KafkaException(errors[0])


def read(consumer, n):
    got, end = [], time.monotonic() + PATIENCE_S
    while len(got) < n:
        if time.monotonic() > end:
            raise AssertionError(f"only {len(got)} of {n} records came within a minute")
        m = consumer.poll(0.2)
        if m is None:
            continue
        if m.error():
            raise KafkaException(m.error())
        got.append((m.key(), m.value(), m.headers(), m.timestamp()[1]))
    return got


def ordered(records):
    return sorted(records, key=lambda r: r[3])


def want(*ranges):
    return [record(i) for r in ranges for i in range(*r)]


def alone(topic, **more):
    """A consumer of one partition from its start, in no group's name."""
    c = Consumer(config(group_id=prefix + "alone", enable_auto_commit=False, enable_partition_eof=False, **more))
    c.assign([TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    return c


def topics():
    topic = prefix + "admin"
    each(admin.create_topics([ck.NewTopic(topic, 2, 1, config={"retention.ms": "3600000"})]))
    becomes("a created topic's partitions", 2, lambda: partitions(topic))
    found = admin.list_topics(timeout=20)
    equal("brokers", 1, len(found.brokers))
    resource = ck.ConfigResource(ck.RESOURCE_TOPIC, topic)
    equal("retention.ms", "3600000", setting(resource))
    each(admin.incremental_alter_configs([ck.ConfigResource(ck.RESOURCE_TOPIC, topic, incremental_configs=[
        ck.ConfigEntry("retention.ms", "7200000", incremental_operation=ck.AlterConfigOpType.SET)])]))
    becomes("changed retention.ms", "7200000", lambda: setting(resource))
    each(admin.create_partitions([ck.NewPartitions(topic, 4)]))
    becomes("partitions", 4, lambda: partitions(topic))
    if level >= (2, 3):
        since_2_3(topic)
    each(admin.delete_topics([topic]))
    becomes("a deleted topic is listed", False, lambda: topic in admin.list_topics(timeout=20).topics)


def partitions(topic):
    found = admin.list_topics(timeout=20).topics
    return len(found[topic].partitions) if topic in found else 0


def setting(resource):
    return each(admin.describe_configs([resource]))[resource]["retention.ms"].value


def since_2_3(topic):
    described = each(admin.describe_topics(confluent_kafka.TopicCollection([topic])))[topic]
    equal("described partitions", 4, len(described.partitions))
    equal("nodes", 1, len(admin.describe_cluster().result(20).nodes))
    send(Producer(config()), topic, 0, 10)
    at = TopicPartition(topic, 0)
    equal("latest", 10, each(admin.list_offsets({at: ck.OffsetSpec.latest()}))[at].offset)
    if level >= (2, 6):
        deleted = each(admin.delete_records([TopicPartition(topic, 0, 4)]))
        equal("low watermark", [4], [d.low_watermark for d in deleted.values()])


def scram():
    user = f"user-{version}"
    info = ck.ScramCredentialInfo(ck.ScramMechanism.SCRAM_SHA_256, 4096)
    each(admin.alter_user_scram_credentials([ck.UserScramCredentialUpsertion(user, info, b"a test's secret", b"its salt")]))

    def credentials():
        try:
            return [(c.mechanism, c.iterations) for c in each(admin.describe_user_scram_credentials([user]))[user].scram_credential_infos]
        except KafkaException as e:
            if e.args[0].code() != KafkaError.RESOURCE_NOT_FOUND:
                raise
            return []

    becomes("credentials", [(ck.ScramMechanism.SCRAM_SHA_256, 4096)], credentials)
    each(admin.alter_user_scram_credentials([ck.UserScramCredentialDeletion(user, ck.ScramMechanism.SCRAM_SHA_256)]))
    becomes("deleted credentials", [], credentials)


def codecs():
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = prefix + "codec-" + codec
        create(topic)
        send(Producer(config(compression_type=codec, linger_ms=20, enable_idempotence=True)), topic, 0, 200)
        consumer = alone(topic)
        equal(codec, want((0, 200)), read(consumer, 200))
        equal("offset for a time", 100, consumer.offsets_for_times([TopicPartition(topic, 0, record(100)[3])], timeout=20)[0].offset)
        equal("watermarks", (0, 200), consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20))
        consumer.close()


def group(kind="classic", **more):
    topic, name = prefix + "group-" + kind, prefix + kind
    create(topic, 3)
    producer = Producer(config(linger_ms=20))
    got = []
    for first in (0, 150):
        send(producer, topic, first, first + 150, 3)
        consumer = Consumer(config(group_id=name, auto_offset_reset="earliest", enable_auto_commit=False, **more))
        consumer.subscribe([topic])
        got += read(consumer, 150)
        consumer.commit(asynchronous=False)
        consumer.close()
    equal("what the group read", want((0, 300)), ordered(got))
    offsets = each(admin.list_consumer_group_offsets([confluent_kafka.ConsumerGroupTopicPartitions(name)]))[name].topic_partitions
    equal("committed", 300, sum(p.offset for p in offsets))
    listed = admin.list_consumer_groups(request_timeout=20).result(20)
    equal("listed", True, name in [g.group_id for g in listed.valid])
    equal("members", 0, len(each(admin.describe_consumer_groups([name]))[name].members))
    each(admin.delete_consumer_groups([name]))


def regex():
    create(prefix + "regex-a")
    create(prefix + "unmatched")
    producer = Producer(config(linger_ms=20))
    send(producer, prefix + "unmatched", 500, 510)
    send(producer, prefix + "regex-a", 0, 10)
    consumer = Consumer(config(group_id=prefix + "regex", auto_offset_reset="earliest", enable_auto_commit=False))
    consumer.subscribe(["^" + prefix.replace(".", "[.]") + "regex-.*"])
    got = read(consumer, 10)
    consumer.commit(asynchronous=False)
    create(prefix + "regex-b")
    send(producer, prefix + "regex-b", 10, 20)
    got += read(consumer, 10)
    consumer.close()
    equal("what the pattern read", want((0, 20)), ordered(got))


def transactions():
    topic = prefix + "transactions"
    create(topic)
    consumer = Consumer(config(group_id=prefix + "transactional", enable_auto_commit=False))
    producer = Producer(config(transactional_id=prefix + "id", linger_ms=5))
    producer.init_transactions(30)
    for first, commit in ((0, True), (20, False), (40, True)):
        producer.begin_transaction()
        send(producer, topic, first, first + 20)
        if first < 40:
            producer.send_offsets_to_transaction([TopicPartition(topic, 0, first + 20)], consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    equal("committed offset", 20, consumer.committed([TopicPartition(topic, 0)], timeout=20)[0].offset)
    consumer.close()
    for isolation, records in (("read_committed", want((0, 20), (40, 60))), ("read_uncommitted", want((0, 60)))):
        reader = alone(topic, isolation_level=isolation)
        equal(isolation, records, read(reader, len(records)))
        reader.close()


def fencing():
    """A newer producer fences the older of its id for good, whichever request of the older finds out."""
    topic = prefix + "fencing"
    create(topic)
    wrong = []
    for meets in ("produce", "commit", "begin"):
        settings = config(transactional_id=prefix + "fenced-" + meets, linger_ms=5)
        older, newer = Producer(settings), Producer(settings)
        older.init_transactions(30)
        if meets != "begin":
            older.begin_transaction()
            send(older, topic, 0, 5)
        newer.init_transactions(30)
        try:
            if meets == "begin":
                older.begin_transaction()
            if meets != "commit":
                # What the record is told may be less than what the producer knows.
                try:
                    send(older, topic, 5, 10)
                except KafkaException:
                    pass
            older.commit_transaction(30)
            wrong.append(f"{meets} was not fenced")
        except KafkaException as e:
            if not e.args[0].fatal() or e.args[0].code() not in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
                wrong.append(f"{meets}: {e.args[0]!r}, fatal {e.args[0].fatal()}")
    equal("fencing", [], wrong)


def kip848():
    group("consumer", group_protocol="consumer")


report.part("list_topics", lambda: admin.list_topics(timeout=20))
report.part("admin", topics)
report.part("scram", scram)
report.part("codecs", codecs)
report.part("group", group)
report.part("regex", regex)
report.part("transactions", transactions)
report.part("fencing", fencing)
if level >= (2, 10):
    report.part("kip848", kip848)
report.done()
