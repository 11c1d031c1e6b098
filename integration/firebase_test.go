package integration_test

import (
	"path/filepath"
	"testing"
)

// TestFirebase runs Firebase's own library. Its addresses are compiled in, so it needs the proxy.
func TestFirebase(t *testing.T) {
	needNode(t, theStage())
	r := newRig(t)
	keyFile := filepath.Join(t.TempDir(), "key.json")
	got := report[struct {
		Verified map[string]map[string]any
		Refused  map[string]map[string]string
		Custom   []map[string]any
	}](t, r.execWith(t, byProxy(), "sh", "clients/with-key-file.sh", r.stage.Emulator, workerAccount, keyFile,
		r.stage.Node, nodeFolder+"/firebase.mjs", keyFile, workerAccount, projectID))
	for kind, code := range map[string]string{"firebase": "auth/id-token-expired", "firebase-session": "auth/session-cookie-expired"} {
		claims := got.Verified[kind]
		if claims["uid"] != "u1" || claims["aud"] != projectID || claims["role"] != "admin" {
			t.Errorf("%s: verified %v", kind, claims)
		}
		if len(got.Refused[kind]) == 0 {
			t.Errorf("%s: nothing was tried that must be refused", kind)
		}
		for problem, outcome := range got.Refused[kind] {
			want := "auth/argument-error"
			if problem == "expired" {
				want = code
			}
			if outcome != want {
				t.Errorf("%s, %s: %s, want %s", kind, problem, outcome, want)
			}
		}
	}
	if len(got.Custom) != 2 {
		t.Fatalf("%d custom tokens", len(got.Custom))
	}
	for _, custom := range got.Custom {
		claims, _ := custom["claims"].(map[string]any)
		if custom["kind"] != "firebase-custom" || custom["email"] != workerAccount || claims["uid"] != "u1" {
			t.Errorf("custom token: %v", custom)
		}
	}
}
