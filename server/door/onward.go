package door

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// Onward is the destination of a request that is not for a service. The destination gets the request
// as the client sent it, except for hop-by-hop fields.
type Onward struct {
	Name     string // in sentences: neighbour "storage.googleapis.com"
	Upstream *url.URL

	// Answered is called before an answer of the upstream is sent. Bytes is -1 if the length of the body
	// is not known beforehand.
	Answered func(status int, bytes int64)
	// Failed is called if the upstream does not answer, and answers the client. The status is 0 if the
	// client has gone.
	Failed func(w http.ResponseWriter, r *http.Request, status int, why string)
}

type onwardKey struct{}

func onwardOf(r *http.Request) Onward {
	to, _ := r.Context().Value(onwardKey{}).(Onward)
	return to
}

// Forward sends a request to a destination, without a limit of its duration or its size. It sends
// gRPC in HTTP/2.
func (d *Doors) Forward(w http.ResponseWriter, r *http.Request, to Onward) {
	control := http.NewResponseController(w) // a server's own deadlines are for short requests
	_, _ = control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})
	r = r.WithContext(context.WithValue(r.Context(), onwardKey{}, to))
	if to.Upstream.Scheme == "http" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		d.upstreams.onward2.ServeHTTP(w, r)
		return
	}
	d.upstreams.onward1.ServeHTTP(w, r)
}

func onwardHooks() hooks {
	return hooks{
		rewrite: func(r *httputil.ProxyRequest) {
			to := onwardOf(r.In).Upstream
			readdress(r.Out, r.In, to.Scheme, to.Host)
			r.Out.Trailer = r.In.Trailer // net/http fills it in at the end of the body
		},
		receive: func(answer *http.Response) error {
			onwardOf(answer.Request).Answered(answer.StatusCode, answer.ContentLength)
			return nil
		},
		fail: func(w http.ResponseWriter, r *http.Request, err error) {
			to := onwardOf(r)
			if cause := context.Cause(r.Context()); cause != nil {
				status, why := interruption(cause)
				to.Failed(w, r, status, why)
				return
			}
			to.Failed(w, r, http.StatusServiceUnavailable, breakdown(err, to.Name, to.Upstream))
		},
	}
}
