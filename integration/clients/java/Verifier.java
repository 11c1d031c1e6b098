import com.google.auth.oauth2.TokenVerifier;

/** Verifies ID tokens with the library, like a program that talks to Google's servers. */
public class Verifier {
  public static String subject(String token, String audience) throws Exception {
    return TokenVerifier.newBuilder().setAudience(audience).build().verify(token).getPayload().getSubject();
  }
}
