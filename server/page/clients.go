package page

import (
	"cmp"
	"net/url"
)

// environment is the answer of control.environment in JSON.
type environment struct {
	Set map[string]string `json:"set"`
}

// Base returns the base URL of the emulator.
func (e environment) Base() string { return e.Set["GCP_METADATA_EMULATOR_URL"] }

// Control returns the base URL of the control plane.
func (e environment) Control() string { return e.Set["GCP_METADATA_EMULATOR_CONTROL_URL"] }

// TemplateMethod returns the methods for templates.
func (e environment) TemplateMethod(name string) any {
	return map[string]any{"Base": e.Base, "Control": e.Control}[name]
}

// readEnvironment returns the variables that lead programs to the emulator.
func readEnvironment(v *visit) (set environment) {
	v.ask(Operation{Name: "control.environment", Query: url.Values{"shell": {"json"}}}, &set)
	return set
}

// shell is a format of the variables.
type shell struct{ Name, Title string }

func shells() []shell {
	return []shell{{"posix", "sh, bash, zsh"}, {"fish", "fish"}, {"powershell", "PowerShell"}, {"dotenv", ".env file"}, {"github", "GitHub Actions"}}
}

// finding is the prediction for a client library.
type finding struct {
	Client  string   `json:"client"`
	For     string   `json:"for"`
	APIs    []string `json:"apis"`
	Finds   string   `json:"finds"`
	At      string   `json:"at"`
	Because string   `json:"because"`
	Change  string   `json:"change"`
}

// clients holds the data of the page of clients.
type clients struct {
	Environment environment
	Shells      []shell
	Shell       string // the name of the chosen one
	Statements  string
	Findings    []finding
}

func loadClients(v *visit) any {
	page := clients{Environment: readEnvironment(v), Shells: shells(), Shell: cmp.Or(v.Form.Get("shell"), shells()[0].Name)}
	page.Statements = v.text(Operation{Name: "control.environment", Query: url.Values{"shell": {page.Shell}}})
	page.Findings = get[struct {
		Findings []finding `json:"findings"`
	}](v, "control.clients").Findings
	return page
}
