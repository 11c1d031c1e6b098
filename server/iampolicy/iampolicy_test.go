package iampolicy_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// However many callers change a policy at once, no change is lost if they send the ETag that they have read.
func TestPolicyConcurrency(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	policy := emulatortest.AccountsPath + "/" + emulatortest.Email("target")
	const writers = 8
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for {
				var read struct {
					Etag     string `json:"etag"`
					Bindings []any  `json:"bindings"`
				}
				e.Invoke(t, "x", "POST "+policy+":getIamPolicy", "", &read)
				read.Bindings = append(read.Bindings, map[string]any{
					"role": fmt.Sprintf("roles/number%d", i), "members": []string{"allUsers"},
				})
				body, err := json.Marshal(map[string]any{"policy": read})
				if err != nil {
					t.Error(err)
					return
				}
				switch status := e.Invoke(t, "x", "POST "+policy+":setIamPolicy", string(body), nil); status {
				case "ABORTED":
				case "OK":
					return
				default:
					t.Errorf("setIamPolicy: %s", status)
					return
				}
			}
		})
	}
	group.Wait()
	if got, _ := e.Do(t, "POST "+policy+":getIamPolicy", "")["bindings"].([]any); len(got) != writers {
		t.Errorf("%d changes are left of %d: %v", len(got), writers, got)
	}
}
