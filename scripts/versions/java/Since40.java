import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;

/** A pattern that the broker evaluates (KIP-848), since 4.0. */
final class Since40 {
    private final Client client;

    Since40(Client client) {
        this.client = client;
    }

    Object regex() throws Exception {
        String prefix = client.prefix + "regex-";
        client.create(prefix + "a", 1);
        client.create(client.prefix + "unmatched", 1);
        try (KafkaProducer<byte[], byte[]> producer = client.producer();
            KafkaConsumer<byte[], byte[]> consumer = client.consumer("group.id", client.prefix + "regex", "group.protocol", "consumer")) {
            Client.send(producer, prefix + "a", 1, 0, 10);
            Client.send(producer, client.prefix + "unmatched", 1, 10, 20);
            consumer.subscribe(new SubscriptionPattern(prefix.replace(".", "\\.") + ".*"));
            Report.equal("what the pattern read", Client.texts(0, 10), Client.read(consumer, 10));
        }
        return null;
    }
}
