package record_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/record"
)

// kinds returns secrets by their kind, each with a part of it that must not be found anywhere.
func kinds() map[string][2]string {
	body := strings.Repeat("MIIEvQIBADANBgkq", 8)
	return map[string][2]string{
		"a password":           {"pa55+word/with=<odd> & letters", "pa55"},
		"an access token":      {"ya29.c.b0AXv0zTplanted-Token_9", "planted-Token"},
		"a refresh token":      {"1//0gPlantedRefreshToken-L9", "PlantedRefresh"},
		"a client secret":      {"GOCSPX-Planted1Client-Secret_2", "Planted1Client"},
		"an API key":           {"AIzaSyPlantedApiKey0123456789abcdefghi", "PlantedApiKey"},
		"a JWT":                {"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJlUGxhbnRlZA", "c2lnbmF0dXJlUGxhbnRlZA"},
		"a private key":        {"-----BEGIN PRIVATE KEY-----\n" + body + "\n-----END PRIVATE KEY-----\n", "MIIEvQIBADAN"},
		"a secret on one line": {"-----BEGIN RSA PRIVATE KEY-----\\n" + body + "\\n-----END RSA PRIVATE KEY-----", "MIIEvQIBADAN"},
		"an SSH key":           {"dev:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlanted dev", "AAAAC3NzaC1lZDI1NTE5"},
		"a script":             {"#!/bin/sh\nmysql --password=swordfish42 db\n", "swordfish42"},
		"lines of words":       {"alpha\nhuntertwo\n", "huntertwo"},
		"a script of words":    {"#!/usr/bin/python3\npassword = 'swordfish'\n", "swordfish"},
		"words":                {"letmeinplease", "letmeinplease"},
		"a command":            {"mysql -u root -popensesame db", "opensesame"},
		"lines of base64":      {"c2VjcmV0LXBsYW50\nZWQtaW4tbGluZXM5\n", "ZWQtaW4tbGluZXM5"},
		"a URL with a user":    {"https://app:swordfish@db.example.com/x", "swordfish"},
	}
}

// encodings return a secret as servers may write it within a longer text.
func encodings() map[string]func(string) string {
	inJSON := func(text string) string {
		encoded, _ := json.Marshal(text) //nolint:errchkjson // a text can be encoded
		return strings.Trim(string(encoded), `"`)
	}
	return map[string]func(string) string{
		"as it is":  func(s string) string { return strings.ReplaceAll(s, "\n", " ") },
		"in a URL":  url.QueryEscape,
		"in a path": url.PathEscape,
		"in JSON":   inJSON,
		"in JSON, all": func(s string) string {
			return strings.NewReplacer("/", `\/`, "=", `\u003d`, "a", `\u0061`).Replace(inJSON(s))
		},
		"in JSON in JSON":    func(s string) string { return inJSON(`{"a":"` + inJSON(s) + `"}`) },
		"in HTML":            func(s string) string { return html.EscapeString(strings.ReplaceAll(s, "\n", " ")) },
		"in base64":          func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"in base64, longer":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x:" + s + ":y")) },
		"in base64 for URLs": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	}
}

// double is a metadata server with secrets.
type double struct {
	tree    map[string]any
	header  http.Header
	page    string         // of errors
	token   map[string]any // other members
	claims  map[string]any // other claims
	changes []map[string]any
	asked   func(*http.Request)
}

// ServeHTTP answers as a metadata server does, in a simpler way.
func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.asked != nil {
		d.asked(r)
	}
	w.Header().Set("Metadata-Flavor", "Google")
	w.Header().Set("Server", "Metadata Server for VM")
	maps.Copy(w.Header(), d.header)
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1"), "/")
	switch {
	case strings.HasSuffix(path, "/identity"):
		_, _ = w.Write([]byte(d.identity()))
	case strings.HasSuffix(path, "/token"):
		d.write(w, d.token)
	default:
		d.entry(w, r, path)
	}
}

func (d *double) identity() string {
	encode := func(value any) string {
		text, _ := json.Marshal(value) //nolint:errchkjson // maps of texts
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(map[string]any{"alg": "RS256", "kid": "00c61b00c61b00c61b00c61b00c61b00c61b00c6"}) + "." + encode(d.claims) + ".c2lnbmF0dXJlTmV2ZXI"
}

func (d *double) write(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) //nolint:errchkjson // maps of texts and numbers
}

// entry answers for an entry of the tree. A wait ends with the next change.
func (d *double) entry(w http.ResponseWriter, r *http.Request, path string) {
	if r.URL.Query().Has("wait_for_change") && len(d.changes) > 0 {
		d.tree, d.changes = d.changes[0], d.changes[1:]
	}
	var value any = d.tree
	for name := range strings.SplitSeq(path, "/") {
		if below, ok := value.(map[string]any); ok && name != "" {
			value = below[fixtures.Naming{}.Key(name)]
			if value == nil {
				value = below[name]
			}
		}
	}
	directory, isDirectory := value.(map[string]any)
	switch text, isText := value.(string); {
	case value == nil:
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintln(w, d.page)
	case r.URL.Query().Get("alt") == "text" && isDirectory && r.URL.Query().Has("recursive"):
		writeText(w, "", directory, fixtures.Naming{})
	case isDirectory && !r.URL.Query().Has("recursive"):
		for name, below := range directory {
			if _, isBelow := below.(map[string]any); isBelow {
				name += "/"
			}
			_, _ = fmt.Fprintln(w, name)
		}
	case isText && r.URL.Query().Get("alt") != "json":
		w.Header().Set("Content-Type", "application/text")
		_, _ = w.Write([]byte(text))
	default:
		d.write(w, value)
	}
}

// writeText writes an object of the tree as text: a line with the path of each value, which may have further lines.
func writeText(w io.Writer, above string, directory map[string]any, naming fixtures.Naming) {
	for _, key := range slices.Sorted(maps.Keys(directory)) {
		path := above + naming.Name(key)
		if below, isDirectory := directory[key].(map[string]any); isDirectory {
			writeText(w, path+"/", below, naming.Below(key))
			continue
		}
		_, _ = fmt.Fprintln(w, path, directory[key])
	}
}

// vm returns the tree of a VM.
func vm(attributes, instance map[string]any) map[string]any {
	below := map[string]any{
		"name": "some-vm", "id": 5737554347302044216, "zone": "projects/42/zones/us-west1-b", "machineType": "projects/42/machineTypes/e2-medium",
		"attributes": attributes, "networkInterfaces": []any{},
	}
	maps.Copy(below, instance)
	return map[string]any{"instance": below, "project": map[string]any{"projectId": "some-project", "numericProjectId": 42, "attributes": map[string]any{}}}
}

// nameOfAttribute is a position in which words stay, because they describe the value.
const nameOfAttribute = "the name of an attribute"

// ofWords returns the kinds of secrets that are made of words.
func ofWords() []string {
	return []string{"words", "lines of words", "a script of words", "a command", "a user"}
}

// positions are the places of a server's texts.
func positions() map[string]func(d *double, text string) {
	tree := func(instance map[string]any) func(*double, string) {
		return func(d *double, _ string) { d.tree = vm(map[string]any{}, instance) }
	}
	entry := func(having func(text string) map[string]any) func(*double, string) {
		return func(d *double, text string) { tree(having(text))(d, text) }
	}
	header := func(name string) func(*double, string) {
		return func(d *double, text string) { d.header = http.Header{name: {strings.ReplaceAll(text, "\n", " ")}} }
	}
	return map[string]func(*double, string){
		"an attribute": func(d *double, text string) { d.tree = vm(map[string]any{"config": text}, nil) },
		nameOfAttribute: func(d *double, text string) {
			d.tree = vm(map[string]any{strings.ReplaceAll(text, "\n", " "): "some value"}, nil)
		},
		"text in place of attributes": entry(func(text string) map[string]any { return map[string]any{"attributes": text} }),
		"JSON in an attribute":        func(d *double, text string) { d.tree = vm(map[string]any{"config": `{"a":["` + text + `"]}`}, nil) },
		"a project's attribute": func(d *double, text string) {
			d.tree["project"].(map[string]any)["attributes"] = map[string]any{"c": text}
		}, //nolint:forcetypeassert // see vm
		"a guest attribute": entry(func(text string) map[string]any {
			return map[string]any{"guestAttributes": map[string]any{"ns": map[string]any{"key": text}}}
		}),
		"a description": entry(func(text string) map[string]any { return map[string]any{"description": text} }),
		"a partner's attribute": entry(func(text string) map[string]any {
			return map[string]any{"partnerAttributes": map[string]any{"p": map[string]any{"k": text}}}
		}),
		"a certificate's document": entry(func(text string) map[string]any {
			return map[string]any{"gceWorkloadCertificates": map[string]any{"workloadIdentities": map[string]any{"k": text}}}
		}),
		"an unknown entry": entry(func(text string) map[string]any {
			return map[string]any{"novelty": map[string]any{"deep": []any{text}}}
		}),
		"an unknown entry of a disk": entry(func(text string) map[string]any {
			return map[string]any{"disks": []any{map[string]any{"novelty": text}}}
		}),
		"an unknown entry of accounts": entry(func(text string) map[string]any {
			return map[string]any{"serviceAccounts": map[string]any{"default": map[string]any{"email": "a@example.com", "novelty": text}}}
		}),
		"a change": func(d *double, text string) {
			d.header = http.Header{"ETag": {"00c61b00c61b00c6"}}
			d.changes = []map[string]any{vm(map[string]any{"late": text}, nil)}
		},
		"a member of a token":  func(d *double, text string) { d.token["novelty"] = text },
		"a token":              func(d *double, text string) { d.token["access_token"] = text },
		"another token":        func(d *double, text string) { d.token["refresh_token"] = text },
		"a claim":              func(d *double, text string) { d.claims["novelty"] = map[string]any{"deep": text} },
		"the subject":          func(d *double, text string) { d.claims["sub"] = text },
		"a page of an error":   func(d *double, text string) { d.page = "<p>not found: " + text + "</p>" },
		"a header field":       header("X-Novelty"),
		"a cookie":             header("Set-Cookie"),
		"the ETag":             header("ETag"),
		"the type":             header("Content-Type"),
		"the name of a server": header("Server"),
		"the URL of a redirect": func(d *double, text string) {
			d.header = http.Header{"Location": {"http://example.com/?next=" + url.QueryEscape(text)}}
		},
	}
}

// TestPlantedSecrets plants secrets of each kind in each position, and looks for them in all files. Each position has
// each encoding, and each kind in two encodings.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(encodings()))
	for shift, position := range slices.Sorted(maps.Keys(positions())) {
		t.Run(position, func(t *testing.T) {
			t.Parallel()
			for i, kind := range slices.Sorted(maps.Keys(kinds())) {
				if position == nameOfAttribute && slices.Contains(ofWords(), kind) {
					continue
				}
				for _, more := range []int{0, 4} {
					name := names[(shift+i+more)%len(names)]
					encode, secret := encodings()[name], kinds()[kind]
					d := newDouble()
					positions()[position](d, encode(secret[0]))
					if attributes := attributesOf(d); attributes != nil {
						attributes["own"] = secret[0]
					}
					checkHidden(t, d, kind+", "+name, encode(secret[1]), secret[1])
				}
			}
		})
	}
}

// attributesOf returns the attributes of a VM.
func attributesOf(d *double) map[string]any {
	instance, _ := d.tree["instance"].(map[string]any)
	attributes, _ := instance["attributes"].(map[string]any)
	return attributes
}

func newDouble() *double {
	return &double{
		tree: vm(map[string]any{}, nil),
		page: "not found", token: map[string]any{"access_token": "ya29.c.b0AXowntoken", "expires_in": 3599, "token_type": "Bearer"},
		claims: map[string]any{"aud": "https://record.example.com", "sub": "123456789012345678901"},
	}
}

// checkHidden records a server until it does not change any more, and looks for parts of a secret.
func checkHidden(t *testing.T, d *double, about string, parts ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	options := record.Options{Limit: 60, Now: time.Now}
	changes := len(d.changes)
	if changes > 0 {
		options.For = time.Hour
		d.asked = func(r *http.Request) {
			if r.URL.Query().Has("wait_for_change") && len(d.changes) == 0 {
				cancel()
			}
		}
	}
	server := httptest.NewServer(d)
	defer server.Close()
	options.Real = emulatortest.Must[*url.URL](t)(url.Parse(server.URL))
	recording, err := record.Run(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	if recording.Changes != changes {
		t.Errorf("%s: %d changes are recorded", about, recording.Changes)
	}
	if recording.Unplayable != nil {
		t.Errorf("%s: the recording cannot be played: %v", about, recording.Unplayable)
	}
	for name, text := range recording.Files {
		for _, part := range parts {
			if strings.Contains(string(text), part) {
				t.Errorf("%s: %s has %q:\n%s", about, name, part, text)
				return
			}
		}
	}
}
