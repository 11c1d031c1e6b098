package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/script"
)

// Document is the answer of the real server to ?recursive=true.
type Document struct {
	Whole   json.RawMessage
	Tree    map[string]any
	Profile fixtures.Profile
}

// ReadDocument reads the answer to ?recursive=true, and guesses the profile.
func ReadDocument(answer script.Answer) (*Document, error) {
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("the status is %d", answer.Status)
	}
	d := &Document{Whole: json.RawMessage(answer.Body)}
	decoder := json.NewDecoder(strings.NewReader(answer.Body))
	decoder.UseNumber()
	if decoder.Decode(&d.Tree) != nil {
		return nil, errors.New("the answer is not a JSON object") // the error may quote it
	}
	if d.section("instance") == nil {
		return nil, errors.New(`the answer has no "instance"`)
	}
	server, _ := answer.Header("Server")
	d.Profile = fixtures.ProfileOf(d.Tree, server)
	return d, nil
}

// fixture returns a fixture of the same instance, as JSON, and the paths of entries that it cannot have.
func (d *Document) fixture() (fixture []byte, dropped []string, err error) {
	var recording any = d.Whole
	less, dropped := fixtures.Prune(d.Tree)
	if len(dropped) > 0 {
		recording = less
	}
	fixture, err = json.Marshal(map[string]any{"instances": []any{map[string]any{"profile": d.Profile, "recording": recording}}})
	return fixture, dropped, err
}

// section returns the object below keys, or nil.
func (d *Document) section(keys ...string) map[string]any {
	section := d.Tree
	for _, key := range keys {
		section, _ = section[key].(map[string]any)
	}
	return section
}

// variables returns the values of the variables in the paths of scripts. If the real server has no value
// for a variable, the variable is missing.
func (d *Document) variables() map[string]string {
	values := map[string]string{}
	if email, ok := d.section("instance", "serviceAccounts", "default")["email"].(string); ok {
		values["account"] = email
	}
	for variable, section := range map[string]string{"attribute": "instance", "project-attribute": "project"} {
		for _, name := range slices.Sorted(maps.Keys(d.section(section, "attributes"))) {
			values[variable] = name
			break
		}
	}
	return values
}

// Name returns the name of the instance, or "" if the server does not tell it.
func (d *Document) Name() string {
	name, _ := d.section("instance")["name"].(string)
	return name
}
