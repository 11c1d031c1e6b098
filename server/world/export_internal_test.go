package world

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
)

// differences between two worlds, of which one is made of the other's description.
func differences(a, b *World) string {
	return cmp.Diff(a, b,
		cmp.AllowUnexported(World{}, Pool{}, deletedAccount{}, serviceURL{}, iam.Groups{}, networks{}, prefixLength{}),
		cmpopts.EquateComparable(netip.Prefix{}),
		cmpopts.IgnoreFields(World{}, "origin"),
		cmpopts.IgnoreUnexported(Provider{}), // what its expressions compile to
		cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b *keys.Certified) bool { return a.ID() == b.ID() && a.PEM() == b.PEM() }),
		cmp.Comparer(func(a, b fixtures.Key) bool {
			one, _ := fixtures.KeySet{a}.MarshalJSON()
			other, _ := fixtures.KeySet{b}.MarshalJSON()
			return string(one) == string(other)
		}),
		cmp.Transformer("bindings", func(p *iam.Policy) []iam.Binding { return p.Bindings }),
		cmpopts.IgnoreMapEntries(func(_ string, p *iam.Policy) bool { return p == nil || len(p.Bindings) == 0 }),
	)
}

// checkRoundTrip checks that a world is the same when its description is loaded, in either
// form and where no file is.
func checkRoundTrip(t *testing.T, w *World) {
	t.Helper()
	f := w.Fixture()
	for name, write := range map[string]func() ([]byte, error){"state.json": f.JSON, "state.yaml": f.YAML} {
		text, err := write()
		if err != nil {
			t.Fatal(err)
		}
		read, err := fixtures.ParseAlone(name, text)
		if err != nil {
			t.Fatalf("%v\nin %s", err, text)
		}
		again := New(read)
		if diff := differences(w, again); diff != "" {
			t.Errorf("%s (-before +after):\n%s\nof %s", name, diff, text)
		}
		second, err := again.Fixture().JSON()
		if first, _ := f.JSON(); err != nil || string(first) != string(second) {
			t.Errorf("%s is described otherwise (%v):\n%s", name, err, cmp.Diff(string(first), string(second)))
		}
	}
}

func load(t *testing.T, files fixtures.Files) *World {
	t.Helper()
	f, _, err := files.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return New(f)
}

const testdata = "../testdata"

func TestDescribedAsLoaded(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]fixtures.Files{
		"default":          {},
		"fixture":          {Fixture: "fixture.yaml"},
		"strict":           {Fixture: "strict.yaml"},
		"ingress":          {Fixture: "ingress.yaml"},
		"recording":        {Recording: "vm.json"},
		"other format":     {Recording: "emulator.json"},
		"recording within": {Fixture: "fixture.yaml", Recording: "vm.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if files.Fixture != "" {
				files.Fixture = filepath.Join(testdata, files.Fixture)
			}
			if files.Recording != "" {
				files.Recording = filepath.Join(testdata, "recordings", files.Recording)
			}
			w := load(t, files)
			checkRoundTrip(t, w)
			for i, instance := range w.Fixture().Instances {
				if diff := cmp.Diff(w.origin.Instances[i].Metadata, instance.Metadata, cmpopts.EquateEmpty()); diff != "" || instance.Without != nil {
					t.Errorf("what was not edited is described otherwise (-was +is):\n%s", diff)
				}
			}
		})
	}
}

// Whatever is done to metadata, it is described.
func TestDescribedAsEdited(t *testing.T) {
	t.Parallel()
	type edit struct {
		instance, path string
		value          any // nil: it is taken away
	}
	for name, edits := range map[string][]edit{
		"an attribute":               {{"demo-vm", "instance/attributes/new", "v"}},
		"an attribute that was told": {{"demo-vm", "instance/attributes/foo-bar", "yes: 1\n - 2 \n"}},
		"an attribute that is gone":  {{"demo-vm", "instance/attributes/foo-bar", nil}},
		"all of them":                {{"demo-vm", "instance/attributes", nil}},
		"a default that is gone":     {{"demo-vm", "instance/disks", nil}, {"alone", "instance/cpu-platform", nil}},
		"a part of a list":           {{"demo-vm", "instance/disks/0/interface", nil}, {"demo-vm", "instance/disks/1", map[string]any{"deviceName": "d"}}},
		"an item of a list":          {{"demo-vm", "instance/tags/0", nil}, {"demo-vm", "instance/network-interfaces/0", nil}},
		"of the project":             {{"demo-vm", "project/attributes/k", "v"}, {"other-vm", "project/attributes/enable-oslogin", nil}},
		"a number and a truth":       {{"alone", "instance/remaining-cpu-time", json.Number("12345678901234567890")}, {"alone", "instance/x-own", true}},
		"an empty directory":         {{"alone", "instance/x-own/y", map[string]any{}}, {"alone", "instance/x-list", []any{}}},
		"guest attributes":           {{"full-vm", "instance/guest-attributes/ns/other_key", " 1 "}, {"full-vm", "instance/guest-attributes/ns/k", nil}},
		"of a pod":                   {{"pod", "instance/attributes/cluster-name", nil}, {"annotated-pod", "instance/hostname", "h"}},
		"a region":                   {{"service", "instance/region", "projects/1/regions/r"}},
		"a document": {{
			"full-vm", "instance/platform-security/auto-mtls-configuration",
			map[string]any{"v1": map[string]any{"a/b": "c", "~": []any{map[string]any{"x": false}}}},
		}},
		"a document that is gone": {{"full-vm", "oslogin/users", nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := load(t, fixtures.Files{Fixture: filepath.Join(testdata, "fixture.yaml")})
			for _, edit := range edits {
				instance, ok := w.Instance(edit.instance)
				if !ok {
					t.Fatalf("no instance %s", edit.instance)
				}
				var err error
				if edit.value == nil {
					w, err = w.WithoutMetadata(instance, edit.path)
				} else {
					w, err = w.WithMetadata(instance, edit.path, edit.value)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			checkRoundTrip(t, w)
		})
	}
}

func TestDescribedRecordingAsEdited(t *testing.T) {
	t.Parallel()
	for _, recording := range []string{"vm.json", "emulator.json"} {
		w := load(t, fixtures.Files{Recording: filepath.Join(testdata, "recordings", recording)})
		w, err := w.WithMetadata(w.DefaultInstance(), "instance/attributes/made", "later")
		if err != nil {
			t.Fatal(err)
		}
		w, err = w.WithoutMetadata(w.DefaultInstance(), "instance/disks")
		if err != nil {
			t.Fatal(err)
		}
		account := w.Accounts[0]
		w = w.WithoutAccount(account, time.Unix(1e9, 0))
		checkRoundTrip(t, w)
	}
}

// What administrators do to accounts, keys and policies is described too.
func TestDescribedAsAdministered(t *testing.T) {
	t.Parallel()
	const first, second = "first@demo-project.iam.gserviceaccount.com", "second@demo-project.iam.gserviceaccount.com"
	f, err := fixtures.Parse("f.yaml", []byte(strings.ReplaceAll(strings.ReplaceAll(`
serviceAccounts: [{email: FIRST}, {email: SECOND, maxTokenLifetime: 2h}]
policies:
  - resource: project
    bindings: [{role: roles/viewer, members: ["serviceAccount:FIRST"]}]
  - resource: serviceAccounts/FIRST
    bindings: [{role: roles/iam.serviceAccountUser, members: [allUsers]}]
instances: [{name: vm, serviceAccounts: [{email: SECOND}, {email: FIRST, aliases: [default]}]}]
`, "FIRST", first), "SECOND", second)), "")
	if err != nil {
		t.Fatal(err)
	}
	w := New(f)
	account, _ := w.Account(first)
	key, err := keys.ParsePublic([]byte(publicKey))
	if err != nil {
		t.Fatal(err)
	}
	edited := *account
	edited.Description, edited.DisplayName, edited.Disabled = "What it is for: \"x\"\n", "first\t", true
	edited.UploadedKeys = []*keys.Certified{key}
	edited.KeyStates = map[string]KeyState{"1": KeyDisabled, key.ID(): KeyDeleted}
	w = w.WithAccount(&edited)
	checkRoundTrip(t, w)

	w = w.WithPolicy(nil, iam.NewPolicy([]iam.Binding{{
		Role: "roles/x", Members: []string{"serviceAccount:" + strings.ToUpper(second), "domain:Example.com", "group:all@example.com"},
		Condition: &iam.Condition{Title: "t", Expression: "true"},
	}, {Role: "roles/y", Members: []string{"serviceAccount:" + first}}}))
	checkRoundTrip(t, w)

	role := &iam.Role{Name: "projects/demo-project/roles/mine", Title: "t", Stage: iam.Alpha, Permissions: []string{"a.b.c", "a.b.d"}}
	w = w.WithRole(role)
	checkRoundTrip(t, w)
	deleted := *role
	deleted.DeleteTime = time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600)).Local()
	checkRoundTrip(t, w.WithRole(&deleted))
	w, err = w.WithPool(fixtures.WorkloadIdentityPool{
		ID: "made", DisplayName: "Made", Description: "d", DeleteTime: deleted.DeleteTime.UTC(), Providers: []fixtures.WorkloadIdentityProvider{{
			ID: "oidc", DisplayName: "OIDC", Description: "d", Issuer: "https://a.example.com", DeleteTime: deleted.DeleteTime.UTC(),
			AttributeMapping: map[string]string{"google.subject": "assertion.sub"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, w)

	gone := w.WithoutAccount(&edited, time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600)).Local())
	checkRoundTrip(t, gone)
	again := &ServiceAccount{Email: first, UniqueID: gone.NewUniqueID(first), MaxTokenLifetime: time.Hour}
	replaced := gone.WithAccount(again)
	checkRoundTrip(t, replaced)
	checkRoundTrip(t, replaced.WithoutAccount(again, time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)))
	back, _, err := gone.Undeleted(edited.UniqueID, time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), func(*ServiceAccount) ([]string, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, back)
}

const publicKey = `-----BEGIN CERTIFICATE-----
MIIDCTCCAfGgAwIBAgIUbUlTYdNY6sVN58MOPSF2/JnjkaYwDQYJKoZIhvcNAQEL
BQAwEzERMA8GA1UEAwwIdXBsb2FkZWQwIBcNMjYxMTIyMDA1MDQ1WhgPMjEyNjEw
MjkwMDUwNDVaMBMxETAPBgNVBAMMCHVwbG9hZGVkMIIBIjANBgkqhkiG9w0BAQEF
AAOCAQ8AMIIBCgKCAQEA2BtxnZuH9GQc0wUloj04C6uRipue7wHI2q0QdvgjWvYW
qXQ48akDgI5cQ+Ig5DyG8M5w8H2Zzds+K7bcQWkW4tSp49d+lp43KDikQFzYkbm+
I9Ly5cLYchuSoHAI8c6Lo/5zx+PXSL0iRZBhJx8qxyNtxS/sl6Ph0FIv8VcbE2Bc
fqZSWraI2ulB9DuvuLqXCVo/DxOhIYY0eaobGolLVG9D1XsIC6Q+6WObV+36F13a
uk6ALRJy8tfmLEXac3hIr3XqKx98xYagHZRhYpIjtXhbSBhjEswNa6jUyyictTYr
S9FmzuaYrG4X+GQ3YLr5/m+wPBC+W6ZMVnqgkYqVCwIDAQABo1MwUTAdBgNVHQ4E
FgQUSvCC5wyQvJC2ALs57xKbamiiBKgwHwYDVR0jBBgwFoAUSvCC5wyQvJC2ALs5
7xKbamiiBKgwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAy1rt
NJtnosASGYLIDqnrj+CvmSJqCKzKOlltj1Rq07C3KnijxAh+g75TWeEstCMrP1f1
JhmKP2QyJI8AH43rf98f6f8gS9hkuQbE/kESczc6eo41rNXn5gU+FG3zXdhbr3mX
h2og+bSuiDTyDsx23LPxu13VZXh8mCUJJAzf6DCIJbwvQrxNqWHRiwNbVJ4P9S//
Bn6lz6aS5Za5Tj9TPTJvqQYuC9euO2rWSaYIB1Lie6Fw4iEfLStBLk2olIhrF0Zr
pWmABssGlSzFdT6s9mQWelD+MwyDvjSSqhiv+RN0Its++V9PeeJd+6PFkkVqb1fO
C/RG5H/mf3uEF0WxlA==
-----END CERTIFICATE-----
`
