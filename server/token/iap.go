package token

import (
	"context"
	"time"

	"gcp-metadata-emulator/signer"
)

// iapLifetime is the lifetime of an assertion of Identity-Aware Proxy.
const iapLifetime = 10 * time.Minute

// IAPIssuer is the issuer of the assertions of Identity-Aware Proxy.
const IAPIssuer = "https://cloud.google.com/iap"

// iapSubject is the prefix of the subject in these assertions; the unique ID follows.
const iapSubject = "accounts.google.com:"

// IAPHeader is the header field in which Identity-Aware Proxy sends its assertions.
const IAPHeader = "X-Goog-Iap-Jwt-Assertion"

// mintIAP issues the assertion that Identity-Aware Proxy puts into IAPHeader. It names the admitted user
// to the application (https://cloud.google.com/iap/docs/signed-headers-howto).
func (i *Issuer) mintIAP(ctx context.Context, order Order) (Token, error) {
	key, err := i.keys.IAP()
	if err != nil {
		return Token{}, err
	}
	issued, expires := i.period(order.Lifetime)
	claims, err := merged(struct {
		Audience string `json:"aud"`
		Email    string `json:"email"`
		Expires  int64  `json:"exp"`
		IssuedAt int64  `json:"iat"`
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
	}{order.Audience, order.Principal.Email, expires.Unix(), issued.Unix(), IAPIssuer, iapSubject + order.Principal.ID}, order.Claims)
	if err != nil {
		return Token{}, err
	}
	return i.signed(ctx, KindIAP, signer.EC(key), claims, Token{Issued: issued, Expires: expires})
}

// proxyAuthority returns Identity-Aware Proxy as authority if the token names its key.
func (i *Issuer) proxyAuthority(parsed *signer.Parsed) (authority, error) {
	key, err := i.keys.IAP()
	switch {
	case err != nil:
		return authority{}, err
	case key.ID() != parsed.KeyID():
		return authority{}, unpublished(parsed)
	default:
		return authority{kind: KindIAP, key: key.Public()}, nil
	}
}
