"""Produces and consumes until a file is there: rdkafka.py ADDRESS CLIENT-ID FILE."""

import os
import sys

from confluent_kafka import Consumer, Producer, libversion

address, client, stop = sys.argv[1:]
producer = Producer({"bootstrap.servers": address, "client.id": client + "-producer"})
consumer = Consumer(
    {"bootstrap.servers": address, "client.id": client + "-consumer", "group.id": client, "auto.offset.reset": "earliest"}
)
consumer.subscribe(["telemetry"])
while not os.path.exists(stop):
    producer.produce("telemetry", b"value")
    producer.flush()
    message = consumer.poll(0.05)
    if message is not None and message.error():
        print("error:", message.error(), file=sys.stderr)
consumer.close()
print("done", libversion()[0])
