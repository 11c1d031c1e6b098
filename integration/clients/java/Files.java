import com.google.auth.oauth2.AccessToken;
import com.google.auth.oauth2.GoogleCredentials;
import java.io.File;
import java.io.FileInputStream;
import java.util.Arrays;

/**
 * Uses Google's Java library, unmodified, with credential files that lead to the emulator. Prints the results as JSON; the tests
 * that run it check the values. Arguments: FILE...
 */
public class Files {
  public static void main(String[] args) {
    StringBuilder out = new StringBuilder("{");
    for (String file : args) {
      out.append(out.length() > 1 ? "," : "").append('"').append(new File(file).getName().replace(".json", "")).append("\":").append(token(file));
    }
    System.out.println(out.append('}'));
  }

  /** The token that the library gets with a file, or its error. */
  private static String token(String file) {
    try (FileInputStream content = new FileInputStream(file)) {
      GoogleCredentials credentials = GoogleCredentials.fromStream(content);
      if (credentials.createScopedRequired()) {
        credentials = credentials.createScoped(Arrays.asList("https://www.googleapis.com/auth/cloud-platform"));
      }
      AccessToken token = credentials.refreshAccessToken();
      return json(token.getTokenValue(), token.getExpirationTime().toInstant().toString(), "");
    } catch (Exception e) {
      return json("", "0001-01-01T00:00:00Z", e.toString().replaceAll("[\"\\\\\\s]+", " "));
    }
  }

  private static String json(String value, String expiry, String error) {
    return "{\"value\":\"" + value + "\",\"expiry\":\"" + expiry + "\",\"error\":\"" + error + "\"}";
  }
}
