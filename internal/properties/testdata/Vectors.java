// Writes vectors of java.util.Properties.load to standard output:
//
//     java internal/properties/testdata/Vectors.java > internal/properties/testdata/vectors.txt
//
// A line has the text, a blank, and "malformed" or the properties by key, as
// key=value;key=value. Text, keys and values are UTF-8 in hexadecimal.
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.*;

public class Vectors {
    static final String[] WRITTEN = {
        "", "\n", "a", "a\n", "a=b", "a:b", "a b", "a\tb", "a\fb", "a = b", "a : b", "a  b", "a =  b  ", "  a=b", "a==b", "a=:b", "a :=b", "a= =b", "a\t:\tb", "=b", ":b", " = b", "\\ =b",
        "a\\=b=c", "a\\:b:c", "a\\ b c", "a\\\\=b", "a\\\\\\=b=c", "a\\", "a\\\n", "a=\\", "a=b\\", "a=b\\\\", "a=b\\\nc", "a=b\\\n   c", "a=b\\\r\n\t c", "a=b\\\rc", "a=b\\\n\nc=d", "a=b\\\n  \nc=d", "a=b\\\n#c",
        "\\\n#a\nb=c", "\\\na=b", "\\\n\\\na=b", "a\\\n=b", "a\\\n  b=c", "a=b\\\\\nc=d", "a=b\\\\\\\nc=d", "#a=b", "!a=b", "  #a=b", "  !a\nb=c", "#a\\\nb=c", "# a\r\nb=c", "a=#b", "a#b=c", "a!=b", "a=b#c", "\f\na=b",
        "a=b\rc=d", "a=b\r\nc=d", "a=b\n\rc=d", "\r\n\r\na=b\r\n", "a=\\t\\n\\r\\f", "a=\\b\\v\\0\\x", "a=\\\"\\'", "\\a=b", "\\t=b", "a=\\u0041", "\\u0061=b", "a=\\u00e4\\u20AC", "a=\\uD83D\\uDE00", "a=\\u", "a=\\u12", "a=\\u12g4", "a=\\uu0041", "a=\\U0041", "\\u00=b",
        "a=\\\\u0041", "a=\\u\\\n0041", "a=\\u00\\\n41", "a=\\u003d", "a\\u003db=c", "a\\u0020b c", "a=b\na=c", "a=b\n a = c\na:d", "a=\u00e4", "\u00e4=\u20ac", "a=\ud83d\ude00", "a=b\u0085c", "a\u00a0b=c", "a=b\u2028c=d", "a=\u0000b", "a\u000bb=c",
        "listeners=PLAINTEXT://:9092,SSL://:9093", "x=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n  username=\"admin\" \\\n  password=\"a=b\" \\\n  user_admin=\"a=b\";",
        "k=-----BEGIN CERTIFICATE----- \\\nMIIB \\\n-----END CERTIFICATE-----", "k=a\\nb\\nc", "k = c:\\\\dir\\\\file", "k = c:\\dir\\file",
    };
    static final String[] PARTS = {"a", "b", "=", ":", " ", "\t", "\f", "\n", "\r", "\r\n", "\\", "\\", "\\\n", "#", "!", "\\u0041", "\\u00e", "u", "n", "\u00e4", "\\=", "c=d"};

    static String hex(String s) {
        return HexFormat.of().formatHex(s.getBytes(StandardCharsets.UTF_8));
    }

    static void vector(String text) throws Exception {
        StringBuilder out = new StringBuilder(hex(text)).append(' ');
        Properties p = new Properties();
        try {
            p.load(new StringReader(text));
            StringJoiner all = new StringJoiner(";");
            for (String key : new TreeSet<>(p.stringPropertyNames()))
                all.add(hex(key) + "=" + hex(p.getProperty(key)));
            out.append(all);
        } catch (IllegalArgumentException e) {
            out.append("malformed");
        }
        System.out.println(out);
    }

    public static void main(String[] args) throws Exception {
        for (String text : WRITTEN)
            vector(text);
        Random r = new Random(1);
        for (int i = 0; i < 1500; i++) {
            StringBuilder text = new StringBuilder();
            for (int n = r.nextInt(14); n >= 0; n--)
                text.append(PARTS[r.nextInt(PARTS.length)]);
            vector(text.toString());
        }
    }
}
