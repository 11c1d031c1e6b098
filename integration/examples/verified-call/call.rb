# Calls a service with an ID token of the metadata server, and then with each token in the
# arguments. The service verifies each token. On Google Cloud the same program works.
require "googleauth"
require "net/http"
require "socket"

AUDIENCE = "https://service.example.com".freeze
# verify_oidc does the same with a JWK set, which fails with OpenSSL 3 and googleauth 0.13.
VERIFIER = Google::Auth::IDTokens::Verifier.new(
  key_source: Google::Auth::IDTokens::X509CertHttpKeySource.new("https://www.googleapis.com/oauth2/v1/certs"),
  aud:        AUDIENCE,
  iss:        Google::Auth::IDTokens::OIDC_ISSUERS
)
Thread.abort_on_exception = true

service = TCPServer.new "127.0.0.1", 0
Thread.new do
  loop do
    connection = service.accept
    token = connection.take_while { |line| line != "\r\n" }.join[/^authorization: Bearer (\S+)/i, 1]
    begin
      status, text = 200, VERIFIER.verify(token)["email"]
    rescue Google::Auth::IDTokens::VerificationError => e
      status, text = 401, e.message
    end
    connection.write "HTTP/1.1 #{status} -\r\nContent-Length: #{text.bytesize}\r\nConnection: close\r\n\r\n#{text}"
    connection.close
  end
end

own = Google::Auth::GCECredentials.new target_audience: AUDIENCE
own.fetch_access_token!
[own.id_token, *ARGV].each do |token|
  response = Net::HTTP.get_response URI("http://127.0.0.1:#{service.addr[1]}"), "Authorization" => "Bearer #{token}"
  puts "#{response.code} #{response.body.lines.first}"
end
