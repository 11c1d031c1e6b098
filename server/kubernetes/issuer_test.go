//go:build cluster

package kubernetes_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gcp-metadata-emulator/server/kubernetes"
)

const clusterIssuer = "https://kubernetes.default.svc.cluster.local"

// signingServer is the part of an API server that publishes keys.
type signingServer struct {
	id    atomic.Value // of its key
	key   *ecdsa.PrivateKey
	down  atomic.Bool
	reads atomic.Int64 // of keys
}

func newSigningServer(t *testing.T) *signingServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &signingServer{key: key}
	s.id.Store("first")
	return s
}

func (s *signingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const typed = "application/jwk-set+json" // an API server sends keys in no other type
	switch {
	case s.down.Load():
		w.WriteHeader(http.StatusForbidden)
	case r.URL.Path == "/openid/v1/jwks" && !strings.Contains(r.Header.Get("Accept"), typed): // it reads one field
		w.WriteHeader(http.StatusNotAcceptable)
	case r.URL.Path == "/.well-known/openid-configuration":
		_, _ = w.Write([]byte(`{"issuer": "` + clusterIssuer + `", "jwks_uri": "https://10.0.0.1/openid/v1/jwks"}`))
	case r.URL.Path == "/openid/v1/jwks":
		s.reads.Add(1)
		w.Header().Set("Content-Type", typed)
		content, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.id.Load().(string)}}})
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(content)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// read asks the server without a network, which tests with their own time cannot use.
func (s *signingServer) read(_ context.Context, path string) ([]byte, error) {
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Accept", "application/jwk-set+json")
	s.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		return nil, http.ErrNotSupported
	}
	return answer.Body.Bytes(), nil
}

// Keys are read over HTTP with the client of a kubeconfig file.
func TestIssuerReadsAnAPIServer(t *testing.T) {
	t.Parallel()
	s := newSigningServer(t)
	client := connected(t, s)
	issuer := kubernetes.NewIssuer(client.Read, slog.New(slog.NewTextHandler(t.Output(), nil)))
	keys, known := issuer.Keys(t.Context(), clusterIssuer, "first")
	if !known || len(keys) != 1 || !s.key.PublicKey.Equal(keys[0]) {
		t.Errorf("the keys are %v, known: %v", keys, known)
	}
}

// A key that is not known is asked for, at most once in ten seconds. Other issuers cost no question.
func TestIssuerFollowsRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSigningServer(t)
		var log strings.Builder
		issuer := kubernetes.NewIssuer(s.read, slog.New(slog.NewTextHandler(&log, nil)))
		issuer.Refresh(t.Context())
		expect := func(of, id string, wantKeys int, wantKnown bool, wantReads int64) {
			t.Helper()
			keys, known := issuer.Keys(t.Context(), of, id)
			if len(keys) != wantKeys || known != wantKnown || s.reads.Load() != wantReads {
				t.Errorf("%s, key %q: %d keys, known: %v, after %d reads; want %d, %v, %d", of, id, len(keys), known, s.reads.Load(), wantKeys, wantKnown, wantReads)
			}
		}
		expect(clusterIssuer, "first", 1, true, 1)
		expect("https://other.example.com", "first", 0, false, 1)
		s.id.Store("second")
		expect(clusterIssuer, "second", 0, true, 1) // too soon
		time.Sleep(10 * time.Second)
		expect(clusterIssuer, "first", 1, true, 1)
		expect("https://other.example.com", "second", 0, false, 1)
		expect(clusterIssuer, "second", 1, true, 2)
		expect(clusterIssuer, "first", 0, true, 2)
		s.down.Store(true)
		time.Sleep(10 * time.Second)
		expect(clusterIssuer, "third", 0, true, 2)
		expect(clusterIssuer, "second", 1, true, 2)
		if !strings.Contains(log.String(), "cannot read the keys of the cluster's tokens") {
			t.Errorf("the log is %s", log.String())
		}
	})
}
