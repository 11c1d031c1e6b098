package cli_test

import (
	"fmt"
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
