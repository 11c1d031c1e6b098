package token

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// The issuers of Firebase ID tokens and session cookies, without the project's ID at the end
// (https://firebase.google.com/docs/auth/admin/verify-id-tokens,
// https://firebase.google.com/docs/auth/admin/manage-cookies).
const (
	firebaseIssuer = "https://securetoken.google.com/"
	sessionIssuer  = "https://session.firebase.google.com/"
)

// FirebaseSigner is the account of the keys for Firebase ID tokens. It belongs to no project.
const FirebaseSigner = "securetoken@system.gserviceaccount.com"

// customAudience is the audience of the custom tokens with which a Firebase client signs in
// (https://firebase.google.com/docs/auth/admin/create-custom-tokens).
const customAudience = "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"

const (
	maxFirebaseUser = 128                 // characters of a user's ID
	maxSession      = 14 * 24 * time.Hour // lifetime of a session cookie
	maxCustom       = time.Hour           // lifetime of a custom token
)

// IsFirebase reports whether tokens of this kind are Firebase ID tokens or session cookies. Their
// principals are users of Firebase, which IAM does not know.
func (k Kind) IsFirebase() bool { return k == KindFirebase || k == KindFirebaseSession }

// firebaseIssuer returns the issuer of Firebase tokens of this kind for a project.
func (k Kind) firebaseIssuer(project string) string {
	if k == KindFirebaseSession {
		return sessionIssuer + project
	}
	return firebaseIssuer + project
}

// firebaseKeys returns the keys of Firebase tokens of this kind.
func (i *Issuer) firebaseKeys(kind Kind) *keys.Set {
	if kind == KindFirebaseSession {
		return i.keys.FirebaseSession()
	}
	return i.keys.Firebase()
}

func (o Order) checkFirebase() error {
	switch {
	case o.User == "" || len(o.User) > maxFirebaseUser:
		return &OrderError{fmt.Sprintf("a Firebase token needs a user, with an ID of up to %d characters", maxFirebaseUser)}
	case o.Principal.Kind != iam.KindUnknown:
		return &OrderError{fmt.Sprintf("a Firebase token is for a user of Firebase, not for %q", o.Principal.Member())}
	case o.Audience != "":
		return &OrderError{"the audience of a Firebase token is its project; name a project instead"}
	case len(o.Scopes) > 0:
		return &OrderError{"a Firebase token has no scopes"}
	default:
		return nil
	}
}

// firebaseClaims is the payload of a Firebase ID token or session cookie.
type firebaseClaims struct {
	Audience      string `json:"aud"`
	AuthTime      int64  `json:"auth_time"`
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified,omitempty"`
	Expires       int64  `json:"exp"`
	Firebase      signIn `json:"firebase"`
	IssuedAt      int64  `json:"iat"`
	Issuer        string `json:"iss"`
	Name          string `json:"name,omitempty"`
	Subject       string `json:"sub"`
	UserID        string `json:"user_id"`
}

// signIn describes how a user signed in to Firebase.
type signIn struct {
	Identities map[string][]string `json:"identities"`
	Provider   string              `json:"sign_in_provider"`
}

// mintFirebase issues a Firebase ID token or session cookie. If the user is in the fixture, the
// user has signed in with Google. Any other ID belongs to a user who has signed in with a custom
// token.
func (i *Issuer) mintFirebase(ctx context.Context, w *world.World, order Order) (Token, error) {
	key, err := i.firebaseKeys(order.Kind).Active(ctx)
	if err != nil {
		return Token{}, err
	}
	if order.Project == "" {
		order.Project = w.Project.ID
	}
	issued, expires := i.period(order.Lifetime)
	usual := firebaseClaims{
		Audience: order.Project, AuthTime: issued.Unix(), Expires: expires.Unix(), IssuedAt: issued.Unix(),
		Issuer: order.Kind.firebaseIssuer(order.Project), Subject: order.User, UserID: order.User,
		Firebase: signIn{Identities: map[string][]string{}, Provider: "custom"},
	}
	if user, ok := w.User(order.User); ok {
		usual.Subject, usual.UserID = user.UniqueID, user.UniqueID
		usual.Email, usual.EmailVerified, usual.Name = user.Email, true, user.Name
		usual.Firebase = signIn{
			Identities: map[string][]string{"email": {user.Email}, "google.com": {user.UniqueID}}, Provider: "google.com",
		}
	}
	claims, err := merged(usual, order.Claims)
	if err != nil {
		return Token{}, err
	}
	return i.signed(ctx, order.Kind, signer.RSA(key), claims, Token{Issued: issued, Expires: expires})
}

// firebaseAuthority returns the authority for Firebase tokens whose published key has the token's key ID.
// It makes no keys.
func (i *Issuer) firebaseAuthority(parsed *signer.Parsed) (found authority, ok bool, err error) {
	for _, kind := range []Kind{KindFirebase, KindFirebaseSession} {
		known, err := i.firebaseKeys(kind).Known()
		if err != nil {
			return authority{}, false, err
		}
		for _, key := range known {
			if key.ID() == parsed.KeyID() {
				return authority{kind: kind, key: key.Public()}, true, nil
			}
		}
	}
	return authority{}, false, nil
}

// firebasePrincipal returns the user of a Firebase token, and checks that its issuer and its
// audience name the same project.
func firebasePrincipal(kind Kind, parsed *signer.Parsed) (iam.Principal, error) {
	issuer, _ := parsed.Claims["iss"].(string)
	project, ok := strings.CutPrefix(issuer, kind.firebaseIssuer(""))
	if !ok || project == "" {
		return iam.Principal{}, refused("the issuer is %q, not %q and the ID of a project", issuer, kind.firebaseIssuer(""))
	}
	if audiences := parsed.Audiences(); !slices.Equal(audiences, []string{project}) {
		return iam.Principal{}, refused("the token is for %q, not for %q, the project of its issuer", strings.Join(audiences, ", "), project)
	}
	subject, _ := parsed.Claims["sub"].(string)
	if subject == "" || len(subject) > maxFirebaseUser {
		return iam.Principal{}, refused("the subject is %q, but the ID of a Firebase user has 1 to %d characters", subject, maxFirebaseUser)
	}
	email, _ := parsed.Claims["email"].(string)
	return iam.Principal{ID: subject, Email: email}, nil
}

// isCustom reports whether a service account's JWT is a Firebase custom token.
func isCustom(parsed *signer.Parsed) bool {
	return slices.Contains(parsed.Audiences(), customAudience)
}

// checkCustom checks the claims that Firebase requires of a custom token.
func checkCustom(parsed *signer.Parsed, account *world.ServiceAccount) error {
	for _, name := range []string{"iss", "sub"} {
		if parsed.Claims[name] != account.Email {
			return refused("the claim %s of a Firebase custom token is %q, not the e-mail address of its signer, %q", name, orNothing(parsed.Claims[name]), account.Email)
		}
	}
	if user, _ := parsed.Claims["uid"].(string); user == "" || len(user) > maxFirebaseUser {
		return refused("the claim uid of a Firebase custom token is %q, but it must have 1 to %d characters", user, maxFirebaseUser)
	}
	issued, begins := parsed.Time("iat")
	expires, ends := parsed.Time("exp")
	if !begins || !ends || expires.Sub(issued) > maxCustom {
		return refused("a Firebase custom token must have the claims iat and exp, at most an hour apart")
	}
	return checkDeveloperClaims(parsed.Claims["claims"])
}

// checkDeveloperClaims checks the claims that a custom token adds to the user's ID tokens.
func checkDeveloperClaims(value any) error {
	claims, ok := value.(map[string]any)
	if value != nil && !ok {
		return refused("the claim claims of a Firebase custom token is not an object")
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if slices.Contains(reservedClaims(), name) {
			return refused("the claims of a Firebase custom token include %q, a reserved name", name)
		}
	}
	return nil
}

// reservedClaims returns the names that a custom token must not use for its own claims.
func reservedClaims() []string {
	return []string{
		"acr", "amr", "at_hash", "aud", "auth_time", "azp", "cnf", "c_hash", "exp", "firebase", "iat", "iss", "jti", "nbf", "nonce", "sub",
	}
}
