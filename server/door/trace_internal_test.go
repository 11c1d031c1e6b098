package door

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// This target is in package door because traces are not exported.

// FuzzTrace checks that each trace is valid, and that a service reads from the fields that are sent on the
// trace that the door has read.
func FuzzTrace(f *testing.F) {
	for _, seed := range [][2]string{
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""},
		{"", "105445AA7843BC8BF206B12000100000/1;o=1"},
		{"00-00000000000000000000000000000000-0-01", "105445aa7843bc8bf206b12000100000"},
		{"-4bf92f3577b34da6a3ce929d0e0e4736--zz", "/"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, parent, cloud string) {
		read := traceOf(http.Header{traceparent: {parent}, cloudTrace: {cloud}})
		if !isTraceID(read.id) {
			t.Errorf("%q, %q: the trace is %q", parent, cloud, read.id)
		}
		onward := http.Header{}
		read.write(onward)
		for _, name := range []string{traceparent, cloudTrace} {
			if diff := cmp.Diff(read, traceOf(http.Header{name: onward[name]}), cmp.AllowUnexported(trace{})); diff != "" {
				t.Errorf("%q, %q: %s is %q (-want +got):\n%s", parent, cloud, name, onward[name], diff)
			}
		}
	})
}
