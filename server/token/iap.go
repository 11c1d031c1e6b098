package token

import (
	"time"

	"gcp-metadata-emulator/signer"
)

// iapLifetime is how long an assertion of Identity-Aware Proxy lives.
const iapLifetime = 10 * time.Minute

// IAPClaims are what Identity-Aware Proxy says of a user to the application behind it, times
// aside (https://cloud.google.com/iap/docs/signed-headers-howto).
type IAPClaims struct {
	Audience     string // /projects/NUMBER/global/backendServices/ID, /projects/NUMBER/apps/PROJECT
	Subject      string // the user's unique ID
	Email        string
	HostedDomain string // of a Google Workspace account; empty: none
}

type signedIAPClaims struct {
	Audience     string `json:"aud"`
	Email        string `json:"email"`
	Expires      int64  `json:"exp"`
	HostedDomain string `json:"hd,omitempty"`
	IssuedAt     int64  `json:"iat"`
	Issuer       string `json:"iss"`
	Subject      string `json:"sub"`
}

// IAP issues the assertion that Identity-Aware Proxy puts into the header
// x-goog-iap-jwt-assertion.
func (i *Issuer) IAP(claims IAPClaims) (Token, error) {
	key, err := i.keys.IAP()
	if err != nil {
		return Token{}, err
	}
	issued := i.now().Truncate(time.Second)
	expires := issued.Add(iapLifetime)
	text, err := signer.ES256(key, signedIAPClaims{
		Audience:     claims.Audience,
		Email:        claims.Email,
		Expires:      expires.Unix(),
		HostedDomain: claims.HostedDomain,
		IssuedAt:     issued.Unix(),
		Issuer:       "https://cloud.google.com/iap",
		Subject:      "accounts.google.com:" + claims.Subject,
	})
	if err != nil {
		return Token{}, err
	}
	return Token{Text: text, Expires: expires}, nil
}
