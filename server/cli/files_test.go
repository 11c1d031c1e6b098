package cli_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// exhaustFiles opens connections until a server cannot open files any more, and asks it on an earlier
// connection. Its arguments are a file with the server's URL, the server's log, and its state directory.
func exhaustFiles() {
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	base := strings.TrimSpace(string(content))
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	ask := func(method, path string) int {
		request, err := http.NewRequest(method, base+path, strings.NewReader(""))
		if err != nil {
			fail("%v", err)
		}
		request.Header.Set("Metadata-Flavor", "Google")
		response, err := client.Do(request)
		if err != nil {
			fail("%s: %v", path, err)
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			fail("%s: %v", path, err)
		}
		return response.StatusCode
	}
	if status := ask(http.MethodGet, "/oauth2/v3/certs"); status != http.StatusOK {
		fail("the keys are not there yet: %d", status)
	}
	const more = 100 // than the files that the server may open
	for range more {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			fail("%v", err)
		}
		defer conn.Close()
	}
	await("the end of the files", func() bool {
		log, err := os.ReadFile(os.Args[2])
		return err == nil && strings.Contains(string(log), "too many open files")
	})
	const account = "/computeMetadata/v1/instance/service-accounts/default"
	counts := map[string]map[int]int{}
	for i := range 20 {
		now := time.Now()
		if err := os.Chtimes(filepath.Join(os.Args[3], "keys", "google"), now, now); err != nil { // so that the server looks at the folder
			fail("%v", err)
		}
		for name, path := range map[string]string{
			"published keys": "/oauth2/v3/certs",
			"certificates":   "/oauth2/v1/certs",
			"ID tokens":      fmt.Sprint(account, "/identity?audience=https://", i, ".example.com"),
			"access tokens":  account + "/token",
			"long tokens":    account + "/token?scopes=" + strings.Repeat("https://www.googleapis.com/auth/cloud-platform,", 60) + fmt.Sprint("https://www.googleapis.com/auth/", i),
		} {
			if counts[name] == nil {
				counts[name] = map[int]int{}
			}
			counts[name][ask(http.MethodGet, path)]++
		}
	}
	for _, name := range []string{"published keys", "certificates", "ID tokens", "access tokens", "long tokens"} {
		fmt.Println(name, counts[name])
	}
	fmt.Println("an account's keys", ask(http.MethodGet, "/service_accounts/v1/jwk/worker@demo-project.iam.gserviceaccount.com"))
	fmt.Println("a rotation", ask(http.MethodPost, "/emulator/v1/keys:rotate"))
}
