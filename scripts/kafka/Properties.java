import java.util.TreeMap;
import kafka.server.KafkaConfig;
import org.apache.kafka.common.config.ConfigDef;

/** Prints every property that a broker of this release of Apache Kafka defines, with its type. */
public final class Properties {
    public static void main(String[] args) throws Exception {
        var all = new TreeMap<String, ConfigDef.Type>();
        ((ConfigDef) definition()).configKeys().forEach((name, key) -> all.put(name, key.type));
        all.forEach((name, type) -> System.out.println(name + "\t" + type));
    }

    // A method of an object of Scala's up to 4.1, and of a class of Java's after that.
    private static Object definition() throws Exception {
        try {
            return KafkaConfig.class.getMethod("configDef").invoke(null);
        } catch (NoSuchMethodException e) {
            return Class.forName("org.apache.kafka.server.config.AbstractKafkaConfig").getField("CONFIG_DEF").get(null);
        }
    }
}
