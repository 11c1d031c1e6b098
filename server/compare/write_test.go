package compare_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/script"
)

// TestWrite compares servers with requests that change something, and plants mistakes in their answers. Without Write, no
// such request is sent.
func TestWrite(t *testing.T) {
	t.Parallel()
	const world = "instances: [{name: some-vm, metadata: {instance: {attributes: {enable-guest-attributes: 'TRUE'}}}}]"
	mistakes := []plant{
		{"a PUT is answered", nil, func(request string, a *script.Answer) {
			if strings.HasPrefix(request, "PUT / ") {
				a.Status = 200
			}
		}, statuses("PUT /")},
		{"a POST is answered", nil, func(request string, a *script.Answer) {
			if strings.HasPrefix(request, "POST ") && a.Status == 405 {
				a.Status = 400
			}
		}, statuses("post: POST /computeMetadata/v1/project/project-id", "post: POST /computeMetadata/v1/oslogin/users?username=dev", "token-post: POST /computeMetadata/v1/instance/service-accounts/default/token")},
		{"another status of DELETE", nil, func(request string, a *script.Answer) {
			if strings.HasPrefix(request, "DELETE /computeMetadata/v1/instance/guest-attributes/compare-with-emulator/key ") {
				a.Status = 202
			}
		}, []shown{{compare.Behaviour, "DELETE of it: status 202"}}},
	}
	for name, test := range map[string]struct {
		write  bool
		plants []plant
	}{"reading": {false, nil}, "writing": {true, nil}, "mistakes": {true, mistakes}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			methods := map[string]bool{}
			watch := plant{ask: func(request string) string {
				method, _, _ := strings.Cut(request, " ")
				mu.Lock()
				defer mu.Unlock()
				methods[method] = true
				return request
			}}
			o := options(t, "http://"+spoilt(t, emulate(t, world).Address, append([]plant{watch}, test.plants...)))
			o.Write = test.write
			report, err := compare.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			checkPlanted(t, test.plants, report)
			mu.Lock()
			defer mu.Unlock()
			for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodDelete} {
				if methods[method] != test.write {
					t.Errorf("a %s request was sent: %t, want %t", method, methods[method], test.write)
				}
			}
			delete(methods, http.MethodGet)
			delete(methods, http.MethodHead)
			if !test.write && len(methods) > 0 {
				t.Errorf("requests with other methods than GET and HEAD were sent: %v", methods)
			}
		})
	}
}
