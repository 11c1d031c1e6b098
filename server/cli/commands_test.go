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
	"strings"
	"syscall"
	"time"
)

// The commands that scripts run besides the program.

// fail ends a command.
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

// await looks for something that comes within ten seconds.
func await(what string, there func() bool) {
	deadline := time.After(10 * time.Second)
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

// waitForFile waits until a file is there.
func waitForFile() {
	await("file "+os.Args[1], func() bool {
		_, err := os.Stat(os.Args[1])
		return err == nil
	})
}

// awaitLine waits until a file has a text in it.
func awaitLine() {
	await("line "+os.Args[2], func() bool {
		content, err := os.ReadFile(os.Args[1])
		return err == nil && strings.Contains(string(content), os.Args[2])
	})
}

// awaitWaiter waits until a request waits, at the server whose URL is in a file, for a path
// with a text in it.
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

// fetch prints what a server answers; the URL is $GCP_METADATA_EMULATOR_URL and a path, or
// the content of a file and a path.
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

// send sends the content of a file, with a method and to a path, to the server whose URL is in
// another file, and prints what it answers.
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

// fetchAnywhere prints what a URL says, found as any program finds it: by the proxy and with
// the roots that the environment names.
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

// answer prints what a request is answered with.
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

// endBySignal ends as a process that was killed does.
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

// awaitSignal makes a file, and ends with status 7 when it is asked to stop.
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
	case <-time.After(20 * time.Second):
		fail("no signal")
	}
}

// fillTunnels opens tunnels at the server whose URL is in a file, and asks something in each, until
// no more can be opened. Then it asks without one.
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
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		status := exchange(conn, http.MethodConnect, "metadata:80")
		if status == http.StatusOK {
			status = exchange(conn, http.MethodGet, "/")
		}
		if status == http.StatusOK {
			continue
		}
		client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
		response, err := client.Get(base + "/")
		if err != nil {
			fail("after %d tunnels: %v", open, err)
		}
		response.Body.Close()
		fmt.Printf("%d tunnels, then %d; without one %d\n", open, status, response.StatusCode)
		return
	}
}

// exchange is the status of a request.
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
