package main

// These tests are in package main because a command exports nothing.

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// refused names the path that the stub refuses.
const refused = "BENCHMARK_TEST_REFUSED"

// TestMain lets the test binary play the processes that the benchmark starts:
// the reference servers, and an emulator that is a stub.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "exec":
		return // a command that does nothing needs nothing
	case len(os.Args) < 2 || os.Args[1] != "serve" && os.Args[1] != referenceCommand:
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	start := stub
	if os.Args[1] == referenceCommand {
		start = func(ctx context.Context, args []string) error { return reference(ctx, args, os.Stdin) }
	}
	if err := start(ctx, os.Args[2:]); err != nil {
		panic(err)
	}
}

// stub gives the same answer to every request, except one that it refuses.
func stub(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stub", flag.ContinueOnError)
	listen := flags.String("listen", "", "")
	urlFile := flags.String("url-file", "", "")
	flags.String("state-dir", "", "")
	flags.String("fixture", "", "")
	flags.String("metadata", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *urlFile != "" {
		if err := os.WriteFile(*urlFile, []byte("http://"+*listen), 0o600); err != nil {
			return err
		}
	}
	path := os.Getenv(refused)
	// A TLS server answers the requests through CONNECT.
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	defer secure.Close()
	var waiting waiting
	server := &http.Server{Addr: *listen, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Content-Type") == "application/grpc":
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			w.Write(make([]byte, 5)) // an empty message
			return
		case r.Method == http.MethodConnect:
			pass(w, secure.Listener.Addr().String())
			return
		case r.Method == http.MethodPut:
			waiting.end()
		case strings.HasSuffix(r.URL.Path, "/waiters"):
			fmt.Fprintf(w, `{"waiters": [{}%s]}`, strings.Repeat(", {}", waiting.count()-1))
			return
		case r.URL.Query().Has("wait_for_change"):
			<-waiting.begin()
		}
		if path != "" && strings.HasSuffix(r.URL.Path, path) {
			w.WriteHeader(http.StatusTeapot)
		}
		io.WriteString(w, `{"access_token": "a&b"}`)
	})}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// waiting holds the stub's waiting requests.
type waiting struct {
	mu   sync.Mutex
	list []chan struct{}
}

func (w *waiting) begin() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, make(chan struct{}))
	return w.list[len(w.list)-1]
}

func (w *waiting) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.list {
		close(one)
	}
	w.list = nil
}

func (w *waiting) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(1, len(w.list))
}

// pass connects a client with another server.
func pass(w http.ResponseWriter, address string) {
	there, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	defer there.Close()
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer here.Close()
	io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(there, here)
	io.Copy(here, there)
}

// quick returns flags for a minimal measurement of everything.
func quick(t *testing.T, more ...string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The race detector would delay the end of every process by a second.
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	return append([]string{
		"--emulator", self, "--duration", "10ms", "--rounds", "1", "--connections", "2", "--audiences", "50", "--rest", "1ms", "--waiters", "20", "--starts", "1", "--boring", self,
	}, more...)
}

func TestRun(t *testing.T) {
	var stdout strings.Builder
	if err := run(t.Context(), quick(t), &stdout, t.Output()); err != nil {
		t.Fatal(err)
	}
	report := stdout.String()
	t.Log(report)
	if !strings.HasPrefix(report, "Measured on ") {
		t.Errorf("the report does not begin with the machine")
	}
	const (
		ratio = `\d+\.\d\d \(\d+\.\d\d–\d+\.\d\d\)`
		cpu   = `(` + ratio + `|not available)`                                      // other systems
		rest  = `\| ` + cpu + ` \|  \| (not available|\d+\.\d, \d+\.\d) \|  \|  \|$` // without an earlier emulator and handlers
	)
	for _, o := range operations() {
		row := `(?m)^\| ` + regexp.QuoteMeta(o.name) + ` \| bare server, [^|]+(\| ` + ratio + ` ){3}` + rest
		if !regexp.MustCompile(row).MatchString(report) {
			t.Errorf("no row like %s", row)
		}
	}
	for _, c := range coldStarts() {
		row := `(?m)^\| ` + regexp.QuoteMeta(c.name) + ` \| [^|]+ \| -?\d+\.\d\d( \(\d+ ms ÷ \d+ ms\))? \| (-?\d+\.\d\d|not available|) \|  \|$`
		if !regexp.MustCompile(row).MatchString(report) {
			t.Errorf("no row like %s", row)
		}
	}
	if row := `(?m)^\| ` + signatures + ` \| ` + cpu + ` \|$`; !regexp.MustCompile(row).MatchString(report) {
		t.Errorf("no row like %s", row)
	}
	for _, s := range scales()[1:] {
		row := `(?m)^\| ` + regexp.QuoteMeta(s.name) + ` \| \d+\.\d \| (yes|no) (\| ` + ratio + ` ){2}\|$`
		if !regexp.MustCompile(row).MatchString(report) {
			t.Errorf("no row like %s", row)
		}
	}
	if row := `(?m)^\| 20 on new connections \| [^|]+ \| [^|]+ \| (yes|no|not available) \| ` + ratio + ` \| (yes|no) \|$`; !regexp.MustCompile(row).MatchString(report) {
		t.Errorf("no row like %s", row)
	}
	if row := `(?m)^\| ` + proxied + ` \| the emulator, directly (\| ` + ratio + ` ){3}` + rest; !regexp.MustCompile(row).MatchString(report) {
		t.Errorf("no row like %s", row)
	}
	if row := `(?m)^\| exec --reach proxy \| \d+ ms \| -?\d+ ms \|$`; !regexp.MustCompile(row).MatchString(report) {
		t.Errorf("no row like %s", row)
	}
	if !strings.Contains(report, "| after ID tokens for 50 more audiences |") || !strings.Contains(report, "| after 1ms without a request |") {
		t.Errorf("nothing on memory")
	}
}

func TestRunOnly(t *testing.T) {
	var stdout strings.Builder
	if err := run(t.Context(), quick(t, "--only", "^JWKS$"), &stdout, t.Output()); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(stdout.String(), "\n| "); rows != 3 {
		t.Errorf("got %d lines in tables, want a header, a rule and a row:\n%s", rows, stdout.String())
	}
}

func TestRunAgainst(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout strings.Builder
	if err := run(t.Context(), quick(t, "--against", self, "--duration", "100ms", "--only", "^(JWKS|tokeninfo)$"), &stdout, t.Output()); err != nil {
		t.Fatal(err)
	}
	const both = `(?m)^\| (JWKS|tokeninfo) \| bare server, constant bytes .*(\| \d\.\d\d \([^|]+ ){2}\| not available \|  \|  \|$`
	if rows := regexp.MustCompile(both).FindAllString(stdout.String(), -1); len(rows) != 2 && runtime.GOOS == "linux" {
		t.Errorf("got %d rows with two ratios of CPU time, want 2:\n%s", len(rows), stdout.String())
	}
}

func TestRunStopsAtRefusal(t *testing.T) {
	t.Setenv(refused, ":signBlob")
	err := run(t.Context(), quick(t, "--only", "signBlob"), io.Discard, t.Output())
	const want = `"signBlob": the emulator: answered 418: "{\"access_token\": \"a&b\"}"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestRunSaysHowTheEmulatorEnded(t *testing.T) {
	binary, err := exec.LookPath("false")
	if err != nil {
		t.Skip(err)
	}
	err = run(t.Context(), []string{"--emulator", binary}, io.Discard, t.Output())
	if err == nil || !strings.Contains(err.Error(), `false" ended by itself (exit status 1)`) {
		t.Errorf("got %v", err)
	}
}

func TestRunRefusesFlags(t *testing.T) {
	for _, args := range [][]string{{}, quick(t, "--rounds", "0"), quick(t, "--only", "("), quick(t, "what")} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: got no error", args)
		}
	}
}

func TestParseResident(t *testing.T) {
	before, err := parseResident([]byte("Name:\tx\nVmRSS:\t   1024 kB\nThreads:\t3\n"))
	if err != nil || before.String() != "1.0 MiB" {
		t.Errorf("got %v, %v", before, err)
	}
	after, err := parseResident([]byte("VmRSS:\t   3584 kB\n"))
	if err != nil || after.growth(before) != "+2.5 MiB" {
		t.Errorf("got %v, %v", after.growth(before), err)
	}
	if text := after.growth(resident{}); text != "not available" {
		t.Errorf("got %q", text)
	}
	if _, err := parseResident([]byte("Name:\tx\n")); err == nil {
		t.Error("got no error for a status without VmRSS")
	}
}

func TestComparison(t *testing.T) {
	if got := comparison([]float64{0.3, 0.2}, []float64{0.1, 0.2}); got != "2.00 (1.00–3.00)" {
		t.Errorf("got %q", got)
	}
	if got := comparison([]float64{0.3, 0.2}, []float64{0.1, 0}); got != unavailable {
		t.Errorf("got %q", got)
	}
}

func TestParseParts(t *testing.T) {
	got := parseParts([]byte(`goos: linux
BenchmarkAround/access_token,_cached-2     	   20000	      3540 ns/op	         5.000 around-allocs/op	      1500 around-ns/op
BenchmarkAround/JWKS-2  20000  3540 ns/op  6.001 around-allocs/op  900 around-ns/op
PASS
`))
	want := map[string]part{
		"access token, cached": {known: true, cpu: 0.0015, allocations: "5.0"},
		"JWKS":                 {known: true, cpu: 0.0009, allocations: "6.0"},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	ours, theirs := &subject{rates: []float64{1}, p50s: []float64{1}, p99s: []float64{1}, cpus: []float64{0.02}, allocations: []float64{25}}, &subject{
		rates: []float64{1}, p50s: []float64{1}, p99s: []float64{1}, cpus: []float64{0.018}, allocations: []float64{20},
	}
	cells := row{name: "JWKS", ours: ours, theirs: theirs, earlier: theirs, around: want["JWKS"]}.cells()
	if got := strings.Join(cells[5:], "; "); got != "0.90 (0.90–0.90); 0.90 (0.90–0.90); 25.0, 20.0; 6.0; 4.5 %" {
		t.Errorf("the row ends with %q", got)
	}
}

func TestParseModel(t *testing.T) {
	info := []byte("processor\t: 0\nmodel name\t: Fast CPU: 3 GHz\nmodel name\t: Other\n")
	if got := parseModel(info, "unknown"); got != "Fast CPU: 3 GHz" {
		t.Errorf("got %q", got)
	}
	if got := parseModel([]byte("Processor\t: AArch64\n"), "unknown"); got != "unknown" {
		t.Errorf("got %q", got)
	}
}
