package integration_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// gcloudCommand is a row of the table of commands that use other servers than most commands.
type gcloudCommand struct {
	name, title string
	compiledIn  string // the attempt to leave the machine that environment variables do not prevent; empty: none
}

func gcloudCommands() []gcloudCommand {
	return []gcloudCommand{
		{"default-token", "`gcloud auth application-default login`, `print-access-token`", ""},
		{"default-impersonate", "the same with `--impersonate-service-account`", askTokens},
		{"default-revoke", "`gcloud auth application-default revoke`", askTokens},
		{"revoke", "`gcloud auth revoke`", askTokens},
	}
}

// TestGcloudCommands runs the commands with each reach, and compares a table of server/reach/README.md with
// the results.
func TestGcloudCommands(t *testing.T) {
	r := newGcloudRig(t)
	python, _ := googleAuth(t)
	c := &trial{rig: r, client: matrixClient{name: "gcloud"}, command: []string{python, "clients/gcloud/commands.py"}}
	var rows []string
	for _, command := range gcloudCommands() {
		cells := []string{command.title}
		for _, reach := range reaches() {
			t.Run(command.name+" "+reach, func(t *testing.T) {
				cells = append(cells, c.run(t, command, reach))
			})
		}
		if len(cells) == 1+len(reaches()) {
			rows = append(rows, "| "+strings.Join(cells, " | ")+" |")
		}
	}
	compareRows(t, "gcloud", rows, func(rows []string, _ string) string {
		return "| command | " + strings.Join(reaches(), " | ") + " |\n" + strings.Repeat("|---", 1+len(reaches())) + "|\n" + strings.Join(rows, "\n") + "\n"
	})
}

// run runs a command with a reach and returns the cell of the table. The test fails if the command fails
// for a reason other than its server.
func (c *trial) run(t *testing.T, command gcloudCommand, reach string) string {
	t.Helper()
	if reach == "namespace" {
		needNamespace(t)
	}
	var may []string
	if reach == "env" && command.compiledIn != "" {
		if c.stage.Escapes == "" {
			skip(t, "what needs servers of Google's is not tried where clients could find them")
		}
		may = append(may, command.compiledIn)
	}
	before := len(readEscapes(c.stage.Escapes))
	printed, complained, err := c.ask(t, reach, []string{command.name}, may...)
	if err == nil {
		var got map[string]string
		if json.Unmarshal(printed[max(0, strings.LastIndex(string(printed), "{")):], &got) != nil || got[command.name] == "" {
			t.Errorf("the command printed %s", printed)
		}
		return "works"
	}
	if len(may) == 0 || !slices.Contains(readEscapes(c.stage.Escapes)[before:], command.compiledIn) {
		t.Errorf("%v: there was no %q: %q\n%s", err, may, readEscapes(c.stage.Escapes)[before:], complained)
	}
	return "no: " + hostCompiledIn + " (`" + strings.TrimPrefix(command.compiledIn, "query for ") + "`)"
}
