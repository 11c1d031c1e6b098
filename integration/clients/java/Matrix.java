import com.google.auth.oauth2.ComputeEngineCredentials;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.auth.oauth2.IdTokenProvider;
import com.google.auth.oauth2.ImpersonatedCredentials;
import java.io.FileInputStream;
import java.util.Arrays;
import java.util.List;

/**
 * Uses Google's Java library, unmodified, like a program that talks to Google's servers. Prints the results as JSON; the tests
 * that run it check the values. Arguments: KEY_FILE AUDIENCE TARGET WANTED...
 */
public class Matrix {
  private static final List<String> SCOPES = Arrays.asList("https://www.googleapis.com/auth/cloud-platform");

  public static void main(String[] args) throws Exception {
    StringBuilder out = new StringBuilder("{");
    for (int i = 3; i < args.length; i++) {
      String value = get(args[i], args[0], args[1], args[2]);
      out.append(i > 3 ? "," : "").append('"').append(args[i]).append("\":\"").append(value).append('"');
    }
    System.out.println(out.append('}'));
  }

  private static String get(String wanted, String keyFile, String audience, String target) throws Exception {
    switch (wanted) {
      case "metadata":
        return ComputeEngineCredentials.create().getAccount();
      case "access":
        return access(GoogleCredentials.getApplicationDefault().createScoped(SCOPES));
      case "identity":
        return identity(audience);
      case "key":
        try (FileInputStream key = new FileInputStream(keyFile)) {
          return access(GoogleCredentials.fromStream(key).createScoped(SCOPES));
        }
      case "impersonate":
        GoogleCredentials source = GoogleCredentials.getApplicationDefault();
        return access(ImpersonatedCredentials.create(source, target, null, SCOPES, 3600));
      case "verify":
        // Old versions of the library have no verifier, so code that uses it is not compiled with
        // them.
        Class.forName("com.google.auth.oauth2.TokenVerifier");
        return (String) Class.forName("Verifier").getMethod("subject", String.class, String.class).invoke(null, identity(audience), audience);
      default:
        throw new IllegalArgumentException(wanted);
    }
  }

  private static String access(GoogleCredentials credentials) throws Exception {
    return credentials.refreshAccessToken().getTokenValue();
  }

  private static String identity(String audience) throws Exception {
    return ComputeEngineCredentials.create()
        .idTokenWithAudience(audience, Arrays.asList(IdTokenProvider.Option.FORMAT_FULL))
        .getTokenValue();
  }
}
