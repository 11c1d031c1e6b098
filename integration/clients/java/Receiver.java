import com.google.auth.oauth2.TokenVerifier;
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/**
 * A service that verifies the ID token of each request with Google's library, and answers with the caller's e-mail address.
 * Prints its base URL. Arguments: AUDIENCE CERTIFICATES_URL
 */
public class Receiver {
  public static void main(String[] args) throws Exception {
    TokenVerifier verifier = TokenVerifier.newBuilder().setAudience(args[0]).setCertificatesLocation(args[1]).build();
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
    server.createContext("/", exchange -> {
      int status = 200;
      String answer;
      try {
        String authorization = exchange.getRequestHeaders().getFirst("Authorization");
        answer = String.valueOf(verifier.verify(authorization.replaceFirst("(?i)^bearer ", "")).getPayload().get("email"));
      } catch (Exception e) {
        status = 401;
        answer = "not verified: " + e.getMessage();
      }
      byte[] body = answer.getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(status, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
    System.out.println("http://127.0.0.1:" + server.getAddress().getPort());
  }
}
