package mds

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Proposed versions of Google's libraries send the certificate chain of a workload with the request for
// its token, and expect a token that is good only with this certificate
// (https://github.com/googleapis/google-cloud-python/pull/17698). Google's answers are not known.

// binds reports whether a request asks for a token that is bound to a certificate, and the instance
// issues such tokens.
func (f Found) binds(r *http.Request) bool {
	return r.Method == http.MethodPost && f.tree.instance.BindsTokens && f.Operation() == Token
}

// boundToken answers with a new access token, if the request has a certificate chain. Unlike an unbound
// token, it is not the same for every request. No API of the emulator asks for its certificate.
func (s *Server) boundToken(r *http.Request, account *world.ServiceAccount, scopes []string, t *tree) (wire.Response, error) {
	body, err := wire.ReadBody(r)
	if err != nil {
		return wire.Response{}, err
	}
	if err := checkChain(body); err != nil {
		return because(t.profile.refuse(r, http.StatusBadRequest, ""), reason.InvalidArgument, "the request for a bound token of %q %v", account.Email, err), nil
	}
	issued, err := s.issuer.Access(r.Context(), token.ForAccount(account, scopes), world.DefaultTokenLifetime)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue a bound access token for %q: %w", account.Email, err)
	}
	return t.profile.tell(issued, jsonType, accessText(issued, int64(world.DefaultTokenLifetime/time.Second))), nil
}

// checkChain checks that a body has a certificate chain: a text in PEM, or a list of such texts, the
// workload's own certificate first.
func checkChain(body []byte) error {
	var asked struct {
		Chain json.RawMessage `json:"certificate_chain"`
	}
	if json.Unmarshal(body, &asked) != nil || asked.Chain == nil {
		return errors.New(`has no JSON object with a "certificate_chain"`)
	}
	var chain string
	var list []string
	if json.Unmarshal(asked.Chain, &chain) != nil && json.Unmarshal(asked.Chain, &list) == nil {
		chain = strings.Join(list, "\n")
	}
	block, _ := pem.Decode([]byte(chain))
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New(`has a "certificate_chain" without a certificate in PEM`)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return errors.New(`has a "certificate_chain" whose first certificate cannot be read`)
	}
	return nil
}
