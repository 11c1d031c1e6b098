package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The additional commands of the scripts.

// fail reports an error and exits.
func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// printEnvironment prints the variables with the given prefixes, sorted.
func printEnvironment() {
	environment := os.Environ()
	slices.Sort(environment)
	for _, entry := range environment {
		if slices.ContainsFunc(os.Args[1:], func(prefix string) bool { return strings.HasPrefix(entry, prefix) }) {
			fmt.Println(entry)
		}
	}
}

// await polls until check succeeds.
func await(what string, there func() bool) {
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-deadline:
			fail("no %s", what)
		}
	}
}

// waitForFile waits until a file exists.
func waitForFile() {
	await("file "+os.Args[1], func() bool {
		_, err := os.Stat(os.Args[1])
		return err == nil
	})
}

// awaitLine waits until a file contains a text, or contains it a number of times.
func awaitLine() {
	times := 1
	if len(os.Args) > 3 {
		var err error
		if times, err = strconv.Atoi(os.Args[3]); err != nil {
			fail("%v", err)
		}
	}
	await("line "+os.Args[2], func() bool {
		content, err := os.ReadFile(os.Args[1])
		return err == nil && strings.Count(string(content), os.Args[2]) >= times
	})
}

// awaitWaiter waits until a request is waiting for a path that contains a text. A file holds the
// server's URL.
func awaitWaiter() {
	text := `"path"`
	if len(os.Args) > 2 {
		text = os.Args[2]
	}
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	await("waiter", func() bool {
		response, err := http.Get(strings.TrimSpace(string(content)) + "/emulator/v1/waiters")
		if err != nil {
			fail("%v", err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(body), text)
	})
}

// fetch prints an answer. The base URL is $GCP_METADATA_EMULATOR_URL or the content of a file.
func fetch() {
	base := os.Getenv("GCP_METADATA_EMULATOR_URL")
	if len(os.Args) > 2 {
		content, err := os.ReadFile(os.Args[2])
		if err != nil {
			fail("%v", err)
		}
		base = strings.TrimSpace(string(content))
	}
	show(&http.Transport{}, base+os.Args[1])
}

// send sends the content of a file and prints the answer. Another file holds the server's URL.
func send() {
	body, err := os.ReadFile(os.Args[3])
	if err != nil {
		fail("%v", err)
	}
	base, err := os.ReadFile(os.Args[4])
	if err != nil {
		fail("%v", err)
	}
	request, err := http.NewRequest(os.Args[1], strings.TrimSpace(string(base))+os.Args[2], bytes.NewReader(body))
	if err != nil {
		fail("%v", err)
	}
	answer(&http.Transport{}, request)
}

// fetchAnywhere prints the content of a URL. It uses the proxy and the roots in the environment.
func fetchAnywhere() {
	show(&http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}, os.Args[1])
}

// show prints an answer.
func show(transport *http.Transport, url string) {
	request, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		fail("%v", err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
	answer(transport, request)
}

// answer prints the answer to a request.
func answer(transport *http.Transport, request *http.Request) {
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		fail("%v", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		fail("status %d", response.StatusCode)
	}
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		fail("%v", err)
	}
}

// endBySignal kills its own process.
func endBySignal() {
	process, err := os.FindProcess(os.Getpid())
	if err != nil {
		fail("%v", err)
	}
	if err := process.Signal(syscall.SIGKILL); err != nil {
		fail("%v", err)
	}
	select {}
}

// awaitSignal creates a file, waits for a signal and exits with status 7.
func awaitSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := os.WriteFile(os.Args[1], nil, 0o600); err != nil {
		fail("%v", err)
	}
	select {
	case received := <-signals:
		fmt.Println("got", received)
		os.Exit(7)
	case <-time.After(patience):
		fail("no signal")
	}
}

// fillTunnels opens tunnels and sends a request through each, until the server refuses a tunnel.
// Then it sends a request without a tunnel.
func fillTunnels() {
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	base := strings.TrimSpace(string(content))
	for open := 0; ; open++ {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			fail("tunnel %d: %v", open, err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		status := exchange(conn, http.MethodConnect, "metadata:80")
		if status == http.StatusOK {
			status = exchange(conn, http.MethodGet, "/")
		}
		if status == http.StatusOK {
			continue
		}
		client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
		response, err := client.Get(base + "/")
		if err != nil {
			fail("after %d tunnels: %v", open, err)
		}
		response.Body.Close()
		fmt.Printf("%d tunnels, then %d; without one %d\n", open, status, response.StatusCode)
		return
	}
}

// exchange returns the status of a request.
func exchange(conn net.Conn, method, target string) int {
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: metadata\r\nMetadata-Flavor: Google\r\n\r\n", method, target)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		fail("%s %s: %v", method, target, err)
	}
	if method != http.MethodConnect {
		_, _ = io.Copy(io.Discard, response.Body)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
