import com.google.auth.oauth2.GoogleCredentials;
import com.google.auth.oauth2.IdTokenCredentials;
import com.google.auth.oauth2.IdTokenProvider;
import com.google.auth.oauth2.TokenVerifier;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Calls a service with an ID token of the metadata server, and then with each token in the
 * arguments. The service verifies each token. On Google Cloud the same program works.
 */
public class Call {
  static final String AUDIENCE = "https://service.example.com";
  static final TokenVerifier VERIFIER =
      TokenVerifier.newBuilder().setAudience(AUDIENCE).setIssuer("https://accounts.google.com").build();

  static void serve(HttpExchange exchange) throws IOException {
    int status = 200;
    String text;
    try {
      String token = exchange.getRequestHeaders().getFirst("Authorization").replaceFirst("^Bearer ", "");
      text = (String) VERIFIER.verify(token).getPayload().get("email");
    } catch (TokenVerifier.VerificationException | IllegalArgumentException e) {
      status = 401;
      text = String.valueOf(e.getMessage());
    }
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  public static void main(String[] arguments) throws Exception {
    HttpServer service = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
    service.createContext("/", Call::serve);
    service.start();

    IdTokenCredentials own = IdTokenCredentials.newBuilder()
        .setIdTokenProvider((IdTokenProvider) GoogleCredentials.getApplicationDefault())
        .setTargetAudience(AUDIENCE).setOptions(List.of(IdTokenProvider.Option.FORMAT_FULL)).build();
    List<String> tokens = new ArrayList<>(List.of(own.refreshAccessToken().getTokenValue()));
    tokens.addAll(List.of(arguments));

    URI url = URI.create("http://127.0.0.1:" + service.getAddress().getPort());
    for (String token : tokens) {
      HttpRequest request = HttpRequest.newBuilder(url).header("Authorization", "Bearer " + token).build();
      HttpResponse<String> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(response.statusCode() + " " + response.body());
    }
    service.stop(0);
  }
}
