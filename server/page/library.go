package page

import "strings"

// libraries are the client libraries and tools with a name in the header User-Agent. The first match
// counts, because libraries often name their HTTP client too.
func libraries() [][2]string {
	return [][2]string{
		{"google-cloud-sdk", "gcloud"},
		{"google-api-nodejs-client", "google-auth-library for Node"},
		{"google-auth-library-nodejs", "google-auth-library for Node"},
		{"gcp-metadata", "gcp-metadata for Node"},
		{"gl-node", "Google's library for Node"},
		{"gcloud-golang", "cloud.google.com/go"},
		{"google-api-go-client", "google.golang.org/api for Go"},
		{"gl-go/", "Google's library for Go"},
		{"grpc-go", "gRPC for Go"},
		{"gl-python", "google-auth for Python"},
		{"python-requests", "requests for Python"},
		{"python-urllib", "urllib for Python"},
		{"google-http-java-client", "Google's HTTP client for Java"},
		{"gl-java", "Google's library for Java"},
		{"gl-ruby", "googleauth for Ruby"},
		{"faraday", "googleauth for Ruby (Faraday)"},
		{"gl-php", "google/auth for PHP"},
		{"gl-dotnet", "Google.Apis.Auth for .NET"},
		{"gl-rust", "Google's library for Rust"},
		{"googlecloudcppclient", "google-cloud-cpp"},
		{"google_guest_agent", "Google's guest agent"},
		{"googleguestagent", "Google's guest agent"},
		{"cloud-init", "cloud-init"},
		{"terraform", "Terraform"},
		{"prometheus", "Prometheus"},
		{"go-http-client", "net/http for Go"},
		{"node", "fetch of Node"},
		{"curl/", "curl"},
		{"wget", "Wget"},
		{"mozilla/", "a web browser"},
	}
}

// libraryOf names the client library that sends a user agent, or returns "" if it is not known.
func libraryOf(userAgent string) string {
	userAgent = strings.ToLower(userAgent)
	for _, library := range libraries() {
		if strings.Contains(userAgent, library[0]) {
			return library[1]
		}
	}
	return ""
}
