import java.util.List;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;

/** Credentials made, shown and taken away. */
final class Scram {
    private final Client client;

    Scram(Client client) {
        this.client = client;
    }

    Object run() throws Exception {
        String user = "user-" + client.version;
        try (AdminClient admin = client.admin()) {
            var info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096);
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(user, info, "a test's secret"))).all().get();
            Report.becomes("credentials", true, () -> admin.describeUserScramCredentials().all().get().containsKey(user));
            var described = admin.describeUserScramCredentials(List.of(user)).all().get().get(user);
            Report.equal("credentials", List.of(info), described.credentialInfos());
            admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))).all().get();
            Report.becomes("deleted credentials", false, () -> admin.describeUserScramCredentials().all().get().containsKey(user));
        }
        return null;
    }
}
