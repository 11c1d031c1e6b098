import com.google.auth.oauth2.TokenVerifier;

/** The library's verifier of ID tokens, as it is used where the servers are Google's. */
public class Verifier {
  public static String subject(String token, String audience) throws Exception {
    return TokenVerifier.newBuilder().setAudience(audience).build().verify(token).getPayload().getSubject();
  }
}
