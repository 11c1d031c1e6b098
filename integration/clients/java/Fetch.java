import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;

/** Prints the content of a URL, fetched with the default transport of Google's Java library. */
public class Fetch {
  public static void main(String[] args) throws IOException {
    HttpURLConnection connection = (HttpURLConnection) URI.create(args[0]).toURL().openConnection();
    connection.setRequestProperty("Metadata-Flavor", "Google");
    System.out.print(new String(connection.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
  }
}
