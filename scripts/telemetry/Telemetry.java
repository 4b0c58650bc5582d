import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

// Produces and consumes until a file is there: Telemetry ADDRESS CLIENT-ID FILE.
public class Telemetry {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        p.put("key.deserializer", StringDeserializer.class.getName());
        p.put("value.deserializer", StringDeserializer.class.getName());
        p.put("auto.offset.reset", "earliest");
        p.put("group.id", args[1]);
        Properties producing = new Properties(), consuming = new Properties();
        producing.putAll(p);
        consuming.putAll(p);
        producing.put("client.id", args[1] + "-producer");
        consuming.put("client.id", args[1] + "-consumer");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(producing);
             KafkaConsumer<String, String> consumer = new KafkaConsumer<>(consuming)) {
            consumer.subscribe(Collections.singletonList("telemetry"));
            while (!Files.exists(Path.of(args[2]))) {
                producer.send(new ProducerRecord<>("telemetry", "value")).get();
                consumer.poll(Duration.ofMillis(50));
            }
        }
        System.out.println("done");
    }
}
