//go:build cluster

package kubernetes_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// fakeSigner signs the tokens of service accounts that a fake clientset has.
type fakeSigner struct {
	of  *fake.Clientset
	key jose.JSONWebKey
}

// newFakeSigner makes a fake clientset answer requests for tokens.
func newFakeSigner(t *testing.T, of *fake.Clientset) *fakeSigner {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeSigner{of, jose.JSONWebKey{Key: key, KeyID: "fake", Algorithm: string(jose.RS256), Use: "sig"}}
	of.PrependReactor("create", "serviceaccounts/token", s.answer)
	return s
}

// keys returns the published keys of an API server.
func (s *fakeSigner) keys() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.key.Public()}}
}

func (s *fakeSigner) answer(action clienttesting.Action) (handled bool, answer apiruntime.Object, err error) {
	asked := action.(clienttesting.CreateActionImpl)
	if _, err := s.of.Tracker().Get(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), asked.GetNamespace(), asked.Name); err != nil {
		return true, nil, err
	}
	request := asked.Object.(*authenticationv1.TokenRequest).DeepCopy()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: s.key}, nil)
	if err != nil {
		return true, nil, err
	}
	now := time.Now()
	expires := now.Add(time.Duration(*request.Spec.ExpirationSeconds) * time.Second)
	request.Status.Token, err = jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: issuer, Subject: "system:serviceaccount:" + asked.GetNamespace() + ":" + asked.Name, Audience: request.Spec.Audiences,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(expires),
	}).Serialize()
	return true, request, err
}
