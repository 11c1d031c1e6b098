package cli_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// visit asks the service whose URL is in a file for a path, with the bearer token in $TOKEN if there is one. It
// prints the status, and the reason if there is one.
func visit() {
	url, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	request, err := http.NewRequest(http.MethodGet, strings.TrimSpace(string(url))+"/"+strings.Join(os.Args[2:], ""), nil)
	if err != nil {
		fail("%v", err)
	}
	if token := os.Getenv("TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Accept", "text/html")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		fail("%v", err)
	}
	defer response.Body.Close()
	if reason := response.Header.Get("X-Emulator-Reason"); reason != "" {
		fmt.Println(response.StatusCode, reason)
		return
	}
	fmt.Println(response.StatusCode)
}

// echoRequests serves the requests that it describes in its answers, until it is killed. It writes
// its address to a file.
func echoRequests() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("%v", err)
	}
	if err := os.WriteFile(os.Args[1], []byte(listener.Addr().String()), 0o600); err != nil {
		fail("%v", err)
	}
	fail("%v", http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const shown = 46
		body, err := io.ReadAll(r.Body)
		if err != nil {
			fail("%v", err)
		}
		fmt.Fprintf(w, "%s %s", r.Method, r.URL)
		for _, name := range []string{"User-Agent", "X-Own", "Content-Type", "X-CloudTasks-TaskRetryCount", "Authorization", "X-Serverless-Authorization"} {
			value, rest, _ := strings.Cut(r.Header.Get(name), " ")
			if value != "" && (name != "Authorization" || strings.HasPrefix(rest, "abc")) {
				fmt.Fprintf(w, " %s=%s", name, value)
			}
		}
		fmt.Fprintf(w, " %q\n", body[:min(len(body), shown)])
	})))
}
