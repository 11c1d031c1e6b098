package iamadmin

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// The types of keys.
const (
	userManaged   = "USER_MANAGED"
	systemManaged = "SYSTEM_MANAGED"
)

// keyMessage is the ServiceAccountKey message.
type keyMessage struct {
	Name            string `json:"name"`
	PrivateKeyType  string `json:"privateKeyType,omitempty"`
	PrivateKeyData  []byte `json:"privateKeyData,omitempty"` // standard base64
	PublicKeyData   []byte `json:"publicKeyData,omitempty"`
	ValidAfterTime  string `json:"validAfterTime"`
	ValidBeforeTime string `json:"validBeforeTime"`
	KeyAlgorithm    string `json:"keyAlgorithm,omitempty"`
	KeyOrigin       string `json:"keyOrigin"`
	KeyType         string `json:"keyType"`
	Disabled        bool   `json:"disabled,omitempty"`
	DisableReason   string `json:"disableReason,omitempty"`
}

func (s *Server) keyMessage(account *world.ServiceAccount, key accountkeys.Key) keyMessage {
	m := keyMessage{
		Name:            s.name(account) + "/keys/" + key.ID(),
		ValidAfterTime:  key.NotBefore().UTC().Format(time.RFC3339),
		ValidBeforeTime: key.NotAfter().UTC().Format(time.RFC3339),
		KeyOrigin:       "GOOGLE_PROVIDED",
		KeyType:         userManaged,
		Disabled:        key.Disabled,
	}
	for _, size := range sizes() {
		if key.Public().N.BitLen() == size.bits {
			m.KeyAlgorithm = size.name
		}
	}
	if key.Uploaded {
		m.KeyOrigin = "USER_PROVIDED"
	}
	if key.System {
		m.KeyType = systemManaged
	}
	if key.Disabled {
		m.DisableReason = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED"
	}
	return m
}

// size is a key algorithm with the size of its keys in bits.
type size struct {
	name string
	bits int
}

func sizes() []size {
	return []size{{"KEY_ALG_RSA_2048", keys.Bits}, {"KEY_ALG_RSA_1024", keys.Bits / 2}}
}

// allKeys returns an account's keys. It makes the system-managed key if it is missing, because
// at Google it always exists.
func (s *Server) allKeys(r *http.Request, account *world.ServiceAccount) ([]accountkeys.Key, error) {
	if _, err := s.keys.System(account.Email).Published(r.Context()); err != nil {
		return nil, fmt.Errorf("make the key of %q: %w", account.Email, err)
	}
	return accountkeys.Of(s.keys, account)
}

// key authorizes a method of a key and finds the key.
func (s *Server) key(r *http.Request, method, permission string) (*world.ServiceAccount, accountkeys.Key, error) {
	t, err := s.account(r, method, permission, gaiaNotFound(r))
	if err != nil {
		return nil, accountkeys.Key{}, err
	}
	all, err := s.allKeys(r, t.account)
	if err != nil {
		return nil, accountkeys.Key{}, err
	}
	id := r.PathValue("key")
	i := slices.IndexFunc(all, func(key accountkeys.Key) bool { return key.ID() == id })
	if i < 0 {
		return nil, accountkeys.Key{}, googleapi.NotFound(fmt.Sprintf("Service account key %s does not exist.", id))
	}
	return t.account, all[i], nil
}

// ListKeys handles keys.list.
func (s *Server) ListKeys(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "ListServiceAccountKeys", "iam.serviceAccountKeys.list", gaiaNotFound(r))
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "keyTypes"); err != nil {
		return wire.Response{}, err
	}
	types := r.URL.Query()["keyTypes"]
	for i, name := range types {
		if name != userManaged && name != systemManaged || slices.Contains(types[:i], name) {
			return wire.Response{}, invalidArgument()
		}
	}
	all, err := s.allKeys(r, t.account)
	if err != nil {
		return wire.Response{}, err
	}
	var list struct {
		Keys []keyMessage `json:"keys,omitempty"`
	}
	for _, key := range all {
		if m := s.keyMessage(t.account, key); len(types) == 0 || slices.Contains(types, m.KeyType) {
			list.Keys = append(list.Keys, m)
		}
	}
	return googleapi.Reply(r, list), nil
}

// invalidArgument returns the error of Google's server without a reason.
func invalidArgument() error {
	return googleapi.InvalidArgument("Request contains an invalid argument.")
}

// GetKey handles keys.get. It includes the public half if the request asks for it.
func (s *Server) GetKey(r *http.Request) (wire.Response, error) {
	account, key, err := s.key(r, "GetServiceAccountKey", "iam.serviceAccountKeys.get")
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "publicKeyType"); err != nil {
		return wire.Response{}, err
	}
	m := s.keyMessage(account, key)
	switch r.URL.Query().Get("publicKeyType") {
	case "", "TYPE_NONE":
	case "TYPE_X509_PEM_FILE":
		m.PublicKeyData = []byte(key.Certificate())
	case "TYPE_RAW_PUBLIC_KEY":
		m.PublicKeyData = []byte(key.PublicKey())
	default:
		return wire.Response{}, invalidArgument()
	}
	return googleapi.Reply(r, m), nil
}

// maxUserKeys limits the user-managed keys of a service account
// (https://cloud.google.com/iam/quotas).
const maxUserKeys = 10

func (s *Server) checkKeyCount(account *world.ServiceAccount) error {
	all, err := accountkeys.Of(s.keys, account)
	if err != nil {
		return err
	}
	if len(slices.DeleteFunc(all, func(key accountkeys.Key) bool { return key.System })) >= maxUserKeys {
		return googleapi.ResourceExhausted("Maximum number of keys on account reached.")
	}
	return nil
}

const credentialsFile = "TYPE_GOOGLE_CREDENTIALS_FILE"

// CreateKey makes a key and returns a key file. The file's URLs lead to this emulator, under
// the client's Host.
func (s *Server) CreateKey(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "CreateServiceAccountKey", "iam.serviceAccountKeys.create", gaiaNotFound(r))
	if err != nil {
		return wire.Response{}, err
	}
	bits, err := readCreateKey(r)
	if err != nil {
		return wire.Response{}, err
	}
	key, err := s.addKey(t.account, bits)
	if err != nil {
		return wire.Response{}, err
	}
	m := s.keyMessage(t.account, accountkeys.Key{Certified: &key.Certified})
	m.PrivateKeyType = credentialsFile
	if m.PrivateKeyData, err = s.keyFile(r, t.account, key); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, m), nil
}

// addKey makes a key unless the account has the maximum number.
func (s *Server) addKey(account *world.ServiceAccount, bits int) (*keys.Key, error) {
	s.adding.Lock()
	defer s.adding.Unlock()
	if current, ok := s.worlds.Load().State.Account(account.UniqueID); ok {
		account = current // has keys that were uploaded meanwhile
	}
	if err := s.checkKeyCount(account); err != nil {
		return nil, err
	}
	key, err := s.keys.User(account.Email, account.UniqueID).Add(bits)
	if err != nil {
		return nil, fmt.Errorf("make a key for %q: %w", account.Email, err)
	}
	return key, nil
}

// keyFile returns the content of a key file.
func (s *Server) keyFile(r *http.Request, account *world.ServiceAccount, key *keys.Key) ([]byte, error) {
	file, err := credentials.NewKeyFile(s.worlds.Load().State, account, key, wire.BaseURL(r))
	if err != nil {
		return nil, fmt.Errorf("write a key file for %q: %w", account.Email, err)
	}
	return []byte(wire.Pretty(file)), nil
}

// readCreateKey returns the size of the requested key in bits.
func readCreateKey(r *http.Request) (int, error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return 0, err
	}
	m, err := googleapi.ReadMessage(r, "name", "private_key_type", "key_algorithm")
	if err != nil {
		return 0, err
	}
	fields := googleapi.Fields{Message: m}
	format, algorithm := fields.Text("private_key_type"), fields.Text("key_algorithm")
	switch {
	case fields.Err != nil:
		return 0, fields.Err
	case format == "TYPE_PKCS12_FILE":
		return 0, googleapi.InvalidArgument("The emulator does not write PKCS #12 files. Use " + credentialsFile + ".")
	case format != "" && format != "TYPE_UNSPECIFIED" && format != credentialsFile:
		return 0, invalidArgument()
	case algorithm == "" || algorithm == "KEY_ALG_UNSPECIFIED":
		return keys.Bits, nil
	}
	for _, size := range sizes() {
		if algorithm == size.name {
			return size.bits, nil
		}
	}
	return 0, invalidArgument()
}

// UploadKey handles keys.upload. The account can sign with the private half from then on.
func (s *Server) UploadKey(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "UploadServiceAccountKey", "iam.serviceAccountKeys.create", gaiaNotFound(r))
	if err != nil {
		return wire.Response{}, err
	}
	uploaded, err := s.readUpload(r)
	if err != nil {
		return wire.Response{}, err
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	changed, err := s.change(t.account, func(account *world.ServiceAccount) error {
		all, err := accountkeys.Of(s.keys, account)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(key accountkeys.Key) bool { return key.Public().Equal(uploaded.Public()) }) {
			return googleapi.AlreadyExists("The public key already exists on the service account.")
		}
		if err := s.checkKeyCount(account); err != nil {
			return err
		}
		account.UploadedKeys = append(slices.Clone(account.UploadedKeys), uploaded)
		account.KeyStates = withState(account.KeyStates, uploaded.ID(), "") // an upload restores a deleted key
		return nil
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, s.keyMessage(changed, accountkeys.Key{Certified: uploaded, Uploaded: true})), nil
}

func (s *Server) readUpload(r *http.Request) (*keys.Certified, error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return nil, err
	}
	m, err := googleapi.ReadMessage(r, "name", "public_key_data")
	if err != nil {
		return nil, err
	}
	data, err := m.Bytes("public_key_data")
	if err != nil {
		return nil, err
	}
	uploaded, err := keys.ParsePublic(data)
	switch {
	case errors.Is(err, keys.ErrNoKey), errors.Is(err, keys.ErrBroken):
		return nil, googleapi.InvalidArgument("The public key data is not an RSA public key in an X.509 certificate in PEM.")
	case err != nil:
		return nil, googleapi.InvalidArgument(fmt.Sprintf("The public key data is %v.", err))
	case s.keys.IsExpired(uploaded):
		return nil, googleapi.InvalidArgument("The certificate has expired.")
	}
	return uploaded, nil
}

// withState returns a copy of states with one key's state changed. The empty state means
// enabled.
func withState(states map[string]world.KeyState, id string, state world.KeyState) map[string]world.KeyState {
	changed := maps.Clone(states)
	if changed == nil {
		changed = map[string]world.KeyState{}
	}
	changed[id] = state
	if state == "" {
		delete(changed, id)
	}
	return changed
}

// DeleteKey deletes a key. Enabling cannot restore it.
func (s *Server) DeleteKey(r *http.Request) (wire.Response, error) {
	return s.setKey(r, "DeleteServiceAccountKey", "iam.serviceAccountKeys.delete", world.KeyDeleted)
}

// DisableKey disables a key until EnableKey enables it.
func (s *Server) DisableKey(r *http.Request) (wire.Response, error) {
	return s.setKey(r, "DisableServiceAccountKey", "iam.serviceAccountKeys.disable", world.KeyDisabled)
}

// EnableKey reverses DisableKey.
func (s *Server) EnableKey(r *http.Request) (wire.Response, error) {
	return s.setKey(r, "EnableServiceAccountKey", "iam.serviceAccountKeys.enable", "")
}

func (s *Server) setKey(r *http.Request, method, permission string, state world.KeyState) (wire.Response, error) {
	account, key, err := s.key(r, method, permission)
	if err != nil {
		return wire.Response{}, err
	}
	if key.System {
		return wire.Response{}, preconditionFailed()
	}
	if err := s.readSetKey(r, state); err != nil {
		return wire.Response{}, err
	}
	_, err = s.change(account, func(account *world.ServiceAccount) error {
		account.KeyStates = withState(account.KeyStates, key.ID(), state)
		if state == world.KeyDeleted {
			account.UploadedKeys = slices.DeleteFunc(slices.Clone(account.UploadedKeys), func(k *keys.Certified) bool { return k.ID() == key.ID() })
		}
		return nil
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, empty{}), nil
}

// readSetKey reads the message of a method for a key's state.
func (s *Server) readSetKey(r *http.Request, state world.KeyState) error {
	fields := []string{"name"}
	if state == world.KeyDisabled {
		fields = append(fields, "service_account_key_disable_reason", "extended_status_message")
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return err
	}
	_, err := googleapi.ReadMessage(r, fields...)
	return err
}
