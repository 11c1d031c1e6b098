package world_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

const services = `
project: {id: example.com:my-demo, number: 7}
users: [{email: one@example.com}, {email: all@example.com}, {email: nobody@example.com}]
policies:
  - {resource: services/orders, bindings: [{role: roles/run.invoker, members: ["user:one@example.com"]}]}
  - {resource: project, bindings: [{role: roles/run.admin, members: ["user:all@example.com"]}]}
instances:
  - {name: vm}
  - {name: orders, profile: cloud-run, zone: europe-west1-b, ingress: {urls: ["https://orders.example.com/base", "https://orders-7.europe-west1.run.app"]}}
  - {name: resize, profile: cloud-functions, zone: europe-west1-b, ingress: {region: europe-west99, upstream: "http://127.0.0.1:1", requestTimeout: 2s}}
  - {name: shrink, profile: cloud-functions, ingress: {region: europe-west99}}
`

func TestServices(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, services)
	orders, ok := w.Service("orders")
	if !ok {
		t.Fatal("there is no service")
	}
	hash := orders.URLs[len(orders.URLs)-1]
	want := &world.Service{
		Name: "orders", Region: "europe-west1",
		URLs:    []string{"https://orders.example.com/base", "https://orders-7.europe-west1.run.app", hash},
		Timeout: 5 * time.Minute, Authentication: fixtures.AuthenticateInvoker, Signature: fixtures.SignatureAuto,
	}
	if diff := cmp.Diff(want, orders); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
	if len(hash) != len("https://orders-0123456789-ew.a.run.app") || worldtest.Parse(t, services).Services()[0].URLs[2] != hash {
		t.Errorf("the URL with a hash is %q", hash)
	}
	resize, _ := w.Service("resize")
	if diff := cmp.Diff([]string{
		"https://europe-west99-my-demo.example.com.cloudfunctions.net/resize", "https://resize-7.europe-west99.run.app",
	}, resize.URLs); diff != "" {
		t.Errorf("URLs of a function (-want +got):\n%s", diff)
	}
	if resize.Upstream.String() != "http://127.0.0.1:1" || resize.Timeout != 2*time.Second || !resize.IsFunction {
		t.Errorf("the function is %+v", resize)
	}
	if got := resize.Path(w.Project); got != "/projects/7/locations/europe-west99/services/resize" {
		t.Errorf("its path is %q", got)
	}
	if _, ok := w.Service("vm"); ok || len(w.Services()) != 3 {
		t.Error("an instance without an ingress is a service")
	}
}

func TestServiceAt(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, services)
	const functions = "europe-west99-my-demo.example.com.cloudfunctions.net"
	for _, test := range []struct{ host, path, want string }{
		{"orders-7.europe-west1.run.app", "/", "orders"},
		{"orders-7.europe-west1.run.app", "", "orders"},
		{"green---orders-7.europe-west1.run.app", "/x", "orders"},
		{"orders.example.com", "/base/x", "orders"},
		{"orders.example.com", "/based", ""},
		{functions, "/resize", "resize"},
		{functions, "/shrink/a/b", "shrink"},
		{functions, "/shrinks", ""},
		{functions, "/", ""},
		{"other-7.europe-west1.run.app", "/", ""},
		{"---orders-7.europe-west1.run.app", "/", "orders"},
		{"", "/", ""},
	} {
		service, ok := w.ServiceAt(test.host, test.path)
		got := ""
		if ok {
			got = service.Name
		}
		if got != test.want {
			t.Errorf("at %q %q: %q, want %q", test.host, test.path, got, test.want)
		}
	}
}

func TestPoliciesOfServices(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, services)
	for name, want := range map[string][3]bool{ // on orders, on resize, on orders without a policy
		"one": {true, false, false}, "all": {true, true, true}, "nobody": {},
	} {
		user, _ := w.User(name + "@example.com")
		orders, _ := w.Service("orders")
		resize, _ := w.Service("resize")
		closed := w.WithPolicy(orders, nil)
		got := [3]bool{
			w.May(user.Principal(), iam.InvokeRoute, orders, time.Time{}), w.May(user.Principal(), iam.InvokeRoute, resize, time.Time{}),
			closed.May(user.Principal(), iam.InvokeRoute, orders, time.Time{}),
		}
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
