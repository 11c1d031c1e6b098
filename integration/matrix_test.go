package integration_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The requests of the matrix, with their names in the client programs and in the table.
const (
	wantMetadata    = "metadata"
	wantAccess      = "access"
	wantIdentity    = "identity"
	wantKey         = "key"
	wantImpersonate = "impersonate"
	wantVerify      = "verify"
)

type wanted struct{ name, title string }

func allWanted() []wanted {
	return []wanted{
		{wantMetadata, "metadata"},
		{wantAccess, "access token"},
		{wantIdentity, "ID token"},
		{wantKey, "key file"},
		{wantImpersonate, "impersonation"},
		{wantVerify, "its own verifier"},
	}
}

// reaches lists the ways in which a client can find the emulator.
func reaches() []string { return []string{"env", "proxy", "namespace"} }

// needNamespace skips a test, with a message, if the system cannot make a namespace.
func needNamespace(t *testing.T) {
	t.Helper()
	if output, err := exec.Command("unshare", "--map-root-user", "--net", "--mount", "true").CombinedOutput(); err != nil {
		skip(t, "no namespace can be made:", err, string(output))
	}
}

// trial runs all requests with one client.
type trial struct {
	*rig
	client  matrixClient
	command []string
	worked  map[string][]string // the reaches with which each request worked
}

// try makes the requests that should work with a reach and checks the results, then the requests
// that should fail.
func (c *trial) try(t *testing.T, reach string) {
	t.Helper()
	var can, cannot []string
	for _, one := range allWanted() {
		switch why := c.client.whyNot(one.name, reach); {
		case c.client.lacks[one.name] != "":
		case why == "":
			can = append(can, one.name)
		default:
			cannot = append(cannot, one.name)
		}
	}
	if len(can) > 0 {
		c.get(t, reach, can)
	}
	if c.stage.Escapes == "" && reach == "env" && len(cannot) > 0 {
		skip(t, "what needs servers of Google's is not tried where clients could find them")
	}
	for _, name := range cannot {
		c.fail(t, reach, name)
	}
}

// ask runs the client with a reach. The test fails if the client tries to leave the machine in an
// unexpected way.
func (c *trial) ask(t *testing.T, reach string, wanted []string, may ...string) (printed, complained []byte, err error) {
	t.Helper()
	c.asks = append(may, c.client.asks...)
	defer func() { c.asks = nil }()
	keyFile := filepath.Join(t.TempDir(), "key.json")
	line := append([]string{"sh", "clients/with-key-file.sh", c.stage.Emulator, workerAccount, keyFile}, c.command...)
	line = append(append(line, keyFile, audience, targetAccount), wanted...)
	if reach != "namespace" {
		return c.rig.try(t, append([]string{"exec", "--state-dir", c.state, "--reach", reach, "--"}, line...)...)
	}
	return c.inNamespace(t, line)
}

// get makes all requests that should work, in one run of the client.
func (c *trial) get(t *testing.T, reach string, wanted []string) {
	t.Helper()
	printed, complained, err := c.ask(t, reach, wanted)
	if err != nil {
		t.Fatalf("%q: %v\nstdout: %s\nstderr: %s", wanted, err, printed, complained)
	}
	got := report[map[string]string](t, printed)
	if asked := slices.Sorted(slices.Values(wanted)); !slices.Equal(slices.Sorted(maps.Keys(got)), asked) {
		t.Fatalf("the client was asked for %q, and delivered %s", asked, printed)
	}
	for _, name := range wanted {
		c.check(t, name, got[name])
		if !t.Failed() {
			c.worked[name] = append(c.worked[name], reach)
		}
	}
}

func (c *trial) check(t *testing.T, name, value string) {
	t.Helper()
	switch name {
	case wantMetadata:
		if value != c.client.metadata {
			t.Errorf("metadata %q, want %q", value, c.client.metadata)
		}
	case wantAccess:
		c.checkAccessToken(t, value, defaultAccount)
	case wantIdentity:
		c.checkIDToken(t, name, value, c.instanceClaims(t))
	case wantKey:
		c.checkAccessToken(t, value, workerAccount)
	case wantImpersonate:
		c.checkAccessToken(t, value, targetAccount)
	case wantVerify:
		if id := c.uniqueID(t, defaultAccount); value != id {
			t.Errorf("the verifier saw %q, want %q", value, id)
		}
	default:
		t.Errorf("the test does not know what %q is", name)
	}
}

// fail makes a request that should fail, and checks that it fails for the reason given in the
// table.
func (c *trial) fail(t *testing.T, reach, name string) {
	t.Helper()
	asks, says := "", c.client.never[name].says
	if compiledIn := c.client.notByEnv[name]; compiledIn != "" && reach == "env" {
		asks, says = compiledIn, ""
	}
	before := len(readEscapes(c.stage.Escapes))
	printed, complained, err := c.ask(t, reach, []string{name}, asks)
	if err == nil {
		c.worked[name] = append(c.worked[name], reach)
		t.Errorf("%s works, though %s; it printed %s", name, c.client.whyNot(name, reach), printed)
		return
	}
	if !strings.Contains(string(complained), says) {
		t.Errorf("%s: %v, and not for the known reason %q:\n%s", name, err, says, complained)
	}
	if after := readEscapes(c.stage.Escapes)[before:]; asks != "" && !slices.Contains(after, asks) {
		t.Errorf("%s: %v, and there was no %s; there were %q:\n%s", name, err, asks, after, complained)
	}
}

// whyNot returns the reason why a request fails with a reach, or "" if it works.
func (c matrixClient) whyNot(name, reach string) string {
	if why := c.lacks[name] + c.never[name].why; why != "" {
		return why
	}
	if c.notByEnv[name] != "" && reach == "env" {
		return hostCompiledIn
	}
	return ""
}

// inNamespace runs a client in its own network.
func (r *rig) inNamespace(t *testing.T, client []string) (printed, complained []byte, err error) {
	t.Helper()
	return r.inNamespaceWith(t, nil, client...)
}

// inNamespaceWith is inNamespace with additional flags for the emulator.
func (r *rig) inNamespaceWith(t *testing.T, flags []string, client ...string) (printed, complained []byte, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "../scripts/namespace", slices.Concat([]string{"--state-dir", r.state}, flags, []string{"--"}, client)...)
	var stdout, stderr bytes.Buffer
	command.Env, command.Stdout, command.Stderr = append(r.environment(), "GCP_METADATA_EMULATOR="+r.stage.Emulator), &stdout, &stderr
	endWithParent(command)
	err = command.Run()
	return stdout.Bytes(), stderr.Bytes(), err
}

// row returns the client's row in the table: the reaches with which each request works, and the
// reasons why others do not.
func (c *trial) row() string {
	cells := []string{c.client.name}
	for _, one := range allWanted() {
		worked := c.worked[one.name]
		cell := strings.Join(worked, ", ")
		var whyNot []string
		for _, reach := range reaches() {
			if !slices.Contains(worked, reach) {
				whyNot = append(whyNot, "not "+reach+": "+c.client.whyNot(one.name, reach))
			}
		}
		switch {
		case len(whyNot) == 0:
			cell = "all"
		case len(worked) == 0:
			cell = "no: " + c.client.whyNot(one.name, "")
		default:
			cell += "; " + strings.Join(whyNot, "; ")
		}
		cells = append(cells, cell)
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// TestMatrix runs each client with each reach, and compares the table of server/reach/README.md with the results.
func TestMatrix(t *testing.T) {
	r := newRig(t)
	var rows []string
	for _, client := range matrixClients() {
		done := 0
		t.Run(client.name, func(t *testing.T) {
			c := &trial{rig: r, client: client, command: client.command(t, r), worked: map[string][]string{}}
			for _, reach := range reaches() {
				t.Run(reach, func(t *testing.T) {
					if reach == "namespace" {
						needNamespace(t)
					}
					c.try(t, reach)
					done++
				})
			}
			if done == len(reaches()) {
				rows = append(rows, c.row())
			}
		})
	}
	compareRows(t, "matrix", rows, table)
}

// compareRows checks that a table of server/reach/README.md has each row. With -update it writes the new
// table instead.
func compareRows(t *testing.T, name string, rows []string, table func(rows []string, old string) string) {
	t.Helper()
	const file = "../server/reach/README.md"
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	old, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for %q", file, name)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(before+begin+table(rows, old)+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, row := range rows {
		if !slices.Contains(strings.Split(old, "\n"), row) {
			t.Errorf("%s does not have this row (go test -run '^%s$' -update writes it):\n%s", file, t.Name(), row)
		}
	}
}

// table returns the new rows, and the old rows of clients without a new one.
func table(rows []string, old string) string {
	titles := []string{"client"}
	for _, one := range allWanted() {
		titles = append(titles, one.title)
	}
	lines := []string{"| " + strings.Join(titles, " | ") + " |", strings.Repeat("|---", len(titles)) + "|"}
	for _, client := range matrixClients() {
		beginning := "| " + client.name + " |"
		isIts := func(row string) bool { return strings.HasPrefix(row, beginning) }
		if i := slices.IndexFunc(rows, isIts); i >= 0 {
			lines = append(lines, rows[i])
		} else if known := slices.DeleteFunc(strings.Split(old, "\n"), func(row string) bool { return !isIts(row) }); len(known) > 0 {
			lines = append(lines, known[0])
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
