import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Base64;
import org.apache.kafka.common.security.ssl.SslPrincipalMapper;

/**
 * Reads the lines of internal/testcerts/subjects and adds to each what Java and Apache Kafka say: the name
 * of a certificate's subject, or the name that rules make of one. "!" and a class is what they throw, "!rules" if it
 * is the rules that are refused.
 */
public final class Principals {
    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            String[] f = line.split("\t", -1);
            out.println(line + "\t" + (f[0].equals("cert") ? name(f[1]) : mapped(decode(f[1]), decode(f[2]))));
        }
        out.flush();
    }

    private static String name(String base64) {
        try {
            byte[] der = Base64.getDecoder().decode(base64);
            var c = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
            return encode(c.getSubjectX500Principal().getName());
        } catch (Exception e) {
            return "!" + e.getClass().getSimpleName();
        }
    }

    private static String mapped(String rules, String subject) {
        SslPrincipalMapper mapper;
        try {
            mapper = SslPrincipalMapper.fromRules(rules);
        } catch (RuntimeException e) {
            return "!rules";
        }
        try {
            return encode(mapper.getName(subject));
        } catch (Exception e) {
            return "!" + e.getClass().getSimpleName();
        }
    }

    private static String decode(String s) {
        return URLDecoder.decode(s, StandardCharsets.UTF_8);
    }

    private static String encode(String s) {
        return URLEncoder.encode(s, StandardCharsets.UTF_8);
    }
}
