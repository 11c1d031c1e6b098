package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/signer"
)

func newKey(t *testing.T) *keys.Key {
	t.Helper()
	key, err := keys.NewRing("", time.Now).System("a@b.c").Active(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestJWT(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	token, err := signer.JWT(key, map[string]any{"aud": "https://a?b&c", "iat": 1})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts", len(parts))
	}
	for i, want := range []string{
		`{"alg":"RS256","kid":"` + key.ID() + `","typ":"JWT"}`,
		`{"aud":"https://a?b&c","iat":1}`, // not \u0026
	} {
		got, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || string(got) != want {
			t.Errorf("part %d = %q, %v; want %q", i, got, err, want)
		}
	}

	parsed, err := signer.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	if !parsed.SignedBy(key.Public()) {
		t.Error("SignedBy = false for the key that signed")
	}
	if parsed.SignedBy(newKey(t).Public()) {
		t.Error("SignedBy = true for a different key")
	}
	if diff := cmp.Diff(map[string]any{"aud": "https://a?b&c", "iat": json.Number("1")}, parsed.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	token, err := signer.JWT(key, map[string]any{"sub": "1"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(token) {
		changed := []byte(token)
		if changed[i]++; changed[i] == token[i] {
			continue
		}
		if parsed, err := signer.Parse(string(changed)); err == nil && parsed.SignedBy(key.Public()) {
			t.Fatalf("still verifies with byte %d changed from %q to %q", i, token[i], changed[i])
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	header, claims := encode([]byte(`{"alg":"RS256"}`)), encode([]byte(`{"iss":"x"}`))
	tests := []struct {
		name, token string
		ok          bool
	}{
		{"plain", header + "." + claims + ".", true},
		{"padded", base64.URLEncoding.EncodeToString([]byte(`{"alg":"RS256"} `)) + "." + claims + ".", false},
		{"alg none", encode([]byte(`{"alg":"none"}`)) + "." + claims + ".", true},
		{"alg unknown", encode([]byte(`{"alg":"XX9"}`)) + "." + claims + ".", true},
		{"no alg", encode([]byte(`{}`)) + "." + claims + ".", true},
		{"empty", "", false},
		{"two parts", header + "." + claims, false},
		{"four parts", header + "." + claims + "..", false},
		{"bad base64", header + ".!." + "x", false},
		{"signature of bad base64", header + "." + claims + ".!", false},
		{"header is no object", encode([]byte(`[]`)) + "." + claims + ".", false},
		{"claims are null", header + "." + encode([]byte(`null`)) + ".", false},
		{"claims are no object", header + "." + encode([]byte(`"x"`)) + ".", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parsed, err := signer.Parse(test.token)
			if (err == nil) != test.ok {
				t.Fatalf("Parse: %v, want ok %v", err, test.ok)
			}
			if err == nil && parsed.SignedBy(newKey(t).Public()) {
				t.Error("SignedBy = true without a signature")
			}
		})
	}
}

// Only an assertion may be in the standard alphabet of base64, and its signature is over the text
// as it was sent.
func TestParseAssertion(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	const header, payload = `{"alg":"RS256"}`, `{"iss":">>>???"}` // "Pj4+Pz8/" in the standard alphabet
	signed := func(encoding *base64.Encoding) string {
		input := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString([]byte(payload))
		signature, err := signer.Blob(key, []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + encoding.EncodeToString(signature)
	}
	for name, encoding := range map[string]*base64.Encoding{
		"URL": base64.RawURLEncoding, "padded URL": base64.URLEncoding, "standard": base64.RawStdEncoding, "padded standard": base64.StdEncoding,
	} {
		text := signed(encoding)
		parsed, err := signer.ParseAssertion(text)
		if err != nil || parsed.Claims["iss"] != ">>>???" || !parsed.SignedBy(key.Public()) {
			t.Errorf("%s: the assertion is read as %+v, %v", name, parsed, err)
		}
		if _, err := signer.Parse(text); (err == nil) != (name == "URL") {
			t.Errorf("%s: as another JWT: %v", name, err)
		}
	}
	text := strings.NewReplacer("+", "-", "/", "_").Replace(signed(base64.StdEncoding))
	if parsed, err := signer.ParseAssertion(text); err != nil || parsed.SignedBy(key.Public()) {
		t.Errorf("with another alphabet than it was signed in: %+v, %v", parsed, err)
	}
}

func TestSignedByForeign(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	curves := map[string]*ecdsa.PrivateKey{}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "another P-256": elliptic.P256(), "P-384": elliptic.P384()} {
		generated, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		curves[name] = generated
	}
	ours, err := signer.JWT(key, map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	foreign := map[string]string{"RS256": ours}
	for method, private := range map[jwt.SigningMethod]any{
		jwt.SigningMethodES256: curves["P-256"], jwt.SigningMethodES384: curves["P-384"], jwt.SigningMethodHS256: []byte("secret"),
	} {
		signed, err := jwt.New(method).SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		foreign[method.Alg()] = signed
	}
	public := map[string]crypto.PublicKey{
		"RSA": key.Public(), "P-256": curves["P-256"].Public(), "another P-256": curves["another P-256"].Public(),
		"P-384": curves["P-384"].Public(), "bytes": []byte("secret"),
	}
	for algorithm, token := range foreign {
		parsed, err := signer.Parse(token)
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range public {
			want := algorithm == "RS256" && name == "RSA" || algorithm == "ES256" && name == "P-256"
			if got := parsed.SignedByForeign(key); got != want {
				t.Errorf("%s token, %s key: %t, want %t", algorithm, name, got, want)
			}
		}
	}
}

// A signature shows which key made it, also if the token was changed afterwards.
func TestMadeBy(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	token, err := signer.JWT(key, map[string]any{"sub": "1"})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	damaged := "A" + parts[2][1:]
	if damaged == parts[2] {
		damaged = "B" + parts[2][1:]
	}
	for name, test := range map[string]struct {
		text string
		key  *keys.Key
		want bool
	}{
		"as signed":         {token, key, true},
		"other claims":      {parts[0] + ".e30." + parts[2], key, true},
		"other key":         {token, newKey(t), false},
		"damaged signature": {parts[0] + "." + parts[1] + "." + damaged, key, false},
		"no signature":      {parts[0] + "." + parts[1] + ".", key, false},
		"short signature":   {parts[0] + "." + parts[1] + ".AAAA", key, false},
		"zeros":             {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), key, false},
	} {
		parsed, err := signer.Parse(test.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.MadeBy(test.key.Public()); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("e30.e30.")
	f.Add("eyJhbGciOiJSUzI1NiJ9.e30=.AA==")
	key, err := keys.NewRing("", time.Now).System("a@b.c").Active(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := signer.Parse(text)
		if err == nil && parsed.SignedBy(key.Public()) {
			t.Errorf("%q verifies with a key that never signed", text)
		}
	})
}

func TestBlob(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	signature, err := signer.Blob(key, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("hello"))
	if err := rsa.VerifyPKCS1v15(key.Public(), crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}

func TestSealer(t *testing.T) {
	t.Parallel()
	seal := func(secret, prefix string) *signer.Sealer {
		sealer, err := signer.NewSealer([]byte(secret), prefix)
		if err != nil {
			t.Fatal(err)
		}
		return sealer
	}
	sealer := seal("secret", "ya29.c.")
	token := sealer.Seal([]byte("x")) // 29 bytes, so that the last letter has two spare bits
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if got, err := seal("secret", "ya29.c.").Open(token); err != nil || string(got) != "x" {
		t.Errorf("Open with the same secret = %q, %v", got, err)
	}
	for name, refused := range map[string]struct {
		sealer *signer.Sealer
		token  string
	}{
		"other secret": {seal("other", "ya29.c."), token},
		"other prefix": {sealer, "1//" + strings.TrimPrefix(token, "ya29.c.")},
		"other kind":   {seal("secret", "1//"), "1//" + strings.TrimPrefix(token, "ya29.c.")},
		"changed":      {sealer, token[:len(token)-5] + "AAAAA"},
		"short":        {sealer, "ya29.c.AA"},
		"empty":        {sealer, ""},
		"no base64":    {sealer, "ya29.c.%%"},
		"padding":      {sealer, token + "="},
		"line feed":    {sealer, token[:len(token)-5] + "\n" + token[len(token)-5:]},
		"CR and LF":    {sealer, token + "\r\n"},
		"spare bits":   {sealer, token[:len(token)-1] + string(alphabet[strings.IndexByte(alphabet, token[len(token)-1])+1])},
	} {
		if got, err := refused.sealer.Open(refused.token); err == nil {
			t.Errorf("%s: token is accepted: %q", name, got)
		}
	}
}

func TestNumericDate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "1795262400": 1795262400, "1795262400.9": 1795262400, "253402300799": 253402300799,
		"": -1, "x": -1, "-1": -1, "253402300800": -1, "1e300": -1, "-1e300": -1, "1e999": -1, "NaN": -1, "Inf": -1, "-9223372036854775808": -1,
	} {
		got, ok := signer.NumericDate(json.Number(text))
		if ok != (want >= 0) || ok && got.Unix() != want {
			t.Errorf("NumericDate(%s) = %v, %t; want %d", text, got, ok, want)
		}
	}
}
