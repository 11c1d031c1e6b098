package token

// Kind is the kind of a token.
type Kind string

// The kinds of token.
const (
	KindAccess  Kind = "access"
	KindRefresh Kind = "refresh"
	KindID      Kind = "id"  // signed by Google
	KindJWT     Kind = "jwt" // signed by a service account
	KindIAP     Kind = "iap" // an assertion of Identity-Aware Proxy

	KindFirebase        Kind = "firebase"         // an ID token of Firebase
	KindFirebaseSession Kind = "firebase-session" // a session cookie of Firebase
	KindFirebaseCustom  Kind = "firebase-custom"  // signed by a service account, to sign in to Firebase
)

// allKinds returns all kinds of token.
func allKinds() []Kind {
	return []Kind{KindAccess, KindRefresh, KindID, KindJWT, KindIAP, KindFirebase, KindFirebaseSession, KindFirebaseCustom}
}
