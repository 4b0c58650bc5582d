"""Connects with a client that is a Python package as the cases say, for scripts/secure.sh.

usage: secure.py CLIENT CASES
"""

import asyncio
import io
import logging
import os
import re
import ssl
import sys
import time

RECORDS = 20
PATIENCE = 120.0


class Case:
    def __init__(self, line):
        fields = [None if f == "-" else f for f in line.rstrip("\n").split("\t")]
        (self.name, self.addr, self.ca, self.cert, self.key, self.mechanism, self.user, self.password, self.want) = fields
        self.protocol = ("SASL_" if self.mechanism else "") + ("SSL" if self.ca else "PLAINTEXT")

    def context(self):
        if not self.ca:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        return context


def values():
    return [b"record %d" % i for i in range(RECORDS)]


def check(got):
    if got != values():
        raise AssertionError("read %r" % got)


# --- librdkafka ---------------------------------------------------------------


def confluent(case, topic):
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

    refused = []

    def error(e):
        # TLS 1.3 refuses a client when its handshake is over: that is a broken connection.
        if e.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL) or e.code() == KafkaError._TRANSPORT and "SSL" in e.str():
            refused.append(e)

    def token(_):
        return case.password, time.time() + 3600

    config = {"bootstrap.servers": case.addr, "security.protocol": case.protocol, "error_cb": error}
    if case.ca:
        config["ssl.ca.location"] = case.ca
    if case.cert:
        config["ssl.certificate.location"], config["ssl.key.location"] = case.cert, case.key
    if case.mechanism:
        config["sasl.mechanism"] = case.mechanism
        if case.mechanism == "OAUTHBEARER":
            config["oauth_cb"] = token
        else:
            config["sasl.username"], config["sasl.password"] = case.user, case.password
    producer = Producer(config)
    for value in values():
        producer.produce(topic, value, partition=0)
    end = time.monotonic() + PATIENCE
    while len(producer) and not refused and time.monotonic() < end:
        producer.flush(0.1)
    if refused:
        producer.purge()
        raise KafkaException(refused[0])
    consumer = Consumer(dict(config, **{"group.id": case.name}))
    consumer.assign([TopicPartition(topic, 0, 0)])
    got = []
    while len(got) < RECORDS and not refused and time.monotonic() < end:
        m = consumer.poll(0.1)
        if m and not m.error():
            got.append(m.value())
    consumer.close()
    check(got)


# --- kafka-python -------------------------------------------------------------


def kafka_python(case, topic):
    import kafka
    from kafka.admin import KafkaAdminClient, NewTopic

    config = {"bootstrap_servers": case.addr, "security_protocol": case.protocol}
    if case.ca:
        config["ssl_context"] = case.context()
    if case.mechanism:
        config.update(sasl_mechanism=case.mechanism, sasl_plain_username=case.user, sasl_plain_password=case.password)
    if case.mechanism == "OAUTHBEARER":
        try:
            from kafka.sasl.oauth import AbstractTokenProvider
        except ImportError:
            from kafka.net.sasl.oauth import AbstractTokenProvider

        class Token(AbstractTokenProvider):
            def token(self):
                return case.password

        config["sasl_oauth_token_provider"] = Token()
        del config["sasl_plain_username"], config["sasl_plain_password"]
    short = {"bootstrap_timeout_ms": 20000} if case.want != "ok" else {}
    admin = KafkaAdminClient(**dict(config, **short))
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()
    producer = kafka.KafkaProducer(**config)
    for value in values():
        producer.send(topic, value).get(PATIENCE)
    producer.close()
    # On a busy machine a consumer of 3.0.12 sometimes asks for nothing any more: the server has
    # no request of it in hand, and nothing of it is unread. Another one does.
    got = []
    end = time.monotonic() + PATIENCE
    while not got and time.monotonic() < end:
        consumer = kafka.KafkaConsumer(topic, auto_offset_reset="earliest", group_id=None, consumer_timeout_ms=20000, **config)
        for m in consumer:
            got.append(m.value)
            if len(got) == RECORDS:
                break
        consumer.close()
    check(got)


# --- aiokafka -----------------------------------------------------------------


def aiokafka(case, topic):
    asyncio.run(asyncio.wait_for(aio(case, topic), PATIENCE))


async def aio(case, topic):
    import aiokafka
    from aiokafka.abc import AbstractTokenProvider

    class Token(AbstractTokenProvider):
        async def token(self):
            return case.password

    config = {"bootstrap_servers": case.addr, "security_protocol": case.protocol}
    if case.ca:
        config["ssl_context"] = case.context()
    if case.mechanism == "OAUTHBEARER":
        config.update(sasl_mechanism=case.mechanism, sasl_oauth_token_provider=Token())
    elif case.mechanism:
        config.update(sasl_mechanism=case.mechanism, sasl_plain_username=case.user, sasl_plain_password=case.password)
    # Its client says only that it could not bootstrap: a connection says why.
    host, port = case.addr.rsplit(":", 1)
    one = {k: v for k, v in config.items() if k != "bootstrap_servers"}
    connection = await aiokafka.conn.create_conn(host, int(port), **one)
    connection.close()
    producer = aiokafka.AIOKafkaProducer(**config)
    await producer.start()
    for value in values():
        await producer.send_and_wait(topic, value, partition=0)
    await producer.stop()
    consumer = aiokafka.AIOKafkaConsumer(topic, auto_offset_reset="earliest", group_id=None, **config)
    await consumer.start()
    got = [(await consumer.getone()).value for _ in range(RECORDS)]
    await consumer.stop()
    check(got)


# The client's own refusal, and the server's alerts.
TLS = r"(?i)certificate verify failed|certificate_verify_failed|alert (certificate required|unknown ca)"
TLS_KAFKA = TLS + "|alert (bad certificate|certificate unknown)"
CLIENTS = {
    "confluent-python": (confluent, TLS, r"(?i)authentication (fail|error)"),
    "kafka-python": (kafka_python, TLS, r"SaslAuthenticationFailed|AuthenticationFailed|\[Error 58\]"),
    "aiokafka": (aiokafka, TLS, r"SaslAuthenticationFailed|AuthenticationFailed|\[Error 58\]"),
}


def attempt(name, case):
    client, tls, sasl = CLIENTS[name]
    log = io.StringIO()  # some say why only there
    logging.basicConfig(stream=log, level=logging.WARNING)
    try:
        client(case, "secure-%s-%s" % (name, case.name))
        verdict = "ok" if case.want == "ok" else "FAIL let in"
    except Exception as e:  # what a client raises is what is looked at
        text = " ".join(("%s %s %r %s" % (type(e).__name__, e, e.__cause__, log.getvalue())).split())
        refusal = {"tls": tls, "tls-kafka": TLS_KAFKA, "sasl": sasl}.get(case.want)
        verdict = "ok" if refusal and re.search(refusal, text) else "FAIL " + text[:4000]
    # One write: cases run beside each other, and print writes the end of the line on its own.
    sys.stdout.write("result\t%s\t%s\t%s\n" % (name, case.name, verdict))
    sys.stdout.flush()


def main():
    with open(sys.argv[2]) as f:
        cases = [Case(line) for line in f]
    for case in cases:
        if os.fork() == 0:  # its log is its own
            attempt(sys.argv[1], case)
            os._exit(0)
    for _ in cases:
        os.wait()


main()
