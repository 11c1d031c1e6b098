package servertest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/servertest"
)

// counterparts maps the control plane's routes to the Go methods that do the same. A text
// explains why a route has no method.
func counterparts() map[string][]any {
	type emulator = *servertest.Emulator
	type instance = *servertest.Instance
	return map[string][]any{
		"control.openapi": {"the package's documentation is its own"},
		"control.livez":   {"New returns when the emulator serves"},
		"control.readyz":  {"New returns when the emulator serves, and whoever needs a key waits for it"},
		"control.metrics": {"a test asks for the requests themselves"},

		"control.state.get":           {emulator.State},
		"control.state.set":           {emulator.SetState},
		"control.reset":               {emulator.Reset},
		"control.instances":           {emulator.InstanceNamed},
		"control.metadata.get":        {instance.Metadata},
		"control.metadata.set":        {instance.SetMetadata},
		"control.metadata.delete":     {instance.DeleteMetadata},
		"control.explain":             {emulator.Explain},
		"control.waiters":             {instance.Waiters, instance.AwaitWaiter},
		"control.clock.get":           {emulator.Now},
		"control.clock.set":           {emulator.SetTime, emulator.Freeze, emulator.Unfreeze},
		"control.clock.advance":       {emulator.Advance},
		"control.faults.list":         {emulator.Faults},
		"control.faults.add":          {emulator.Fail},
		"control.faults.get":          {(*servertest.Fault).Hits},
		"control.faults.remove":       {(*servertest.Fault).Remove},
		"control.faults.clear":        {emulator.ClearFaults},
		"control.requests.list":       {emulator.Requests, emulator.RequestsWhere},
		"control.requests.clear":      {emulator.ClearRequests},
		"control.events":              {emulator.Watch},
		"control.ca":                  {emulator.CA},
		"control.keys.list":           {emulator.Keys},
		"control.keys.rotate":         {emulator.RotateKeys, emulator.RotateKeysKeeping},
		"control.tokens.mint":         {emulator.Mint},
		"control.tokens.verify":       {emulator.Verify, emulator.VerifyFor, emulator.Purposes},
		"control.tokens.principal":    {emulator.Caller},
		"control.credentials":         {emulator.CredentialsFile},
		"control.environment":         {emulator.Setenv},
		"control.githubActions.token": {emulator.SetenvGitHubActions},
		"control.replicas":            {"an emulator of a test is alone"},
		"control.routes":              {"a test knows the routes that it names"},
		"control.clients":             {"a test runs the client itself"},
		"control.services":            {"a test calls the service itself"},
		"control.iam.troubleshoot":    {"a test calls the method itself, and reads the reason in the journal"},

		"control.instances.events.list":   {instance.Events},
		"control.instances.events.play":   {instance.Event},
		"control.instances.events.clear":  {instance.ClearEvents},
		"control.instances.events.cancel": {(*servertest.Event).Cancel},
	}
}

// Every route of the control plane has a Go method, and an example shows it.
func TestCounterparts(t *testing.T) {
	t.Parallel()
	var examples strings.Builder
	files, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples.Write(text)
	}
	methods := counterparts()
	for _, operation := range operations(t) {
		known, ok := methods[operation]
		if !ok {
			t.Errorf("no method does what %s does; add one to package servertest, or a reason to this table", operation)
		}
		delete(methods, operation)
		for _, method := range known {
			if name := methodName(method); name != "" && !strings.Contains(examples.String(), "."+name+"(") {
				t.Errorf("no example calls %s", name)
			}
		}
	}
	for operation := range methods {
		t.Errorf("the control plane has no %s", operation)
	}
}

// operations returns the names of the control plane's routes from its OpenAPI description.
func operations(t *testing.T) []string {
	t.Helper()
	emu := servertest.New(t)
	_, text := get(t, emu.Client(), emu.URL+"/emulator/v1/openapi.json")
	var description struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(text), &description); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range description.Paths {
		for _, operation := range item {
			var named struct {
				ID string `json:"operationId"`
			}
			if json.Unmarshal(operation, &named) == nil && named.ID != "" { // the parameters of a path are a list
				names = append(names, named.ID)
			}
		}
	}
	return names
}

// methodName returns the name of a method, or "" for a text.
func methodName(method any) string {
	value := reflect.ValueOf(method)
	if value.Kind() != reflect.Func {
		return ""
	}
	name := runtime.FuncForPC(value.Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}
