package iamadmin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// accountMessage is the ServiceAccount message.
type accountMessage struct {
	Name           string `json:"name"`
	ProjectID      string `json:"projectId"`
	UniqueID       string `json:"uniqueId"`
	Email          string `json:"email"`
	DisplayName    string `json:"displayName,omitempty"`
	Etag           string `json:"etag"`
	Description    string `json:"description,omitempty"`
	OAuth2ClientID string `json:"oauth2ClientId"`
	Disabled       bool   `json:"disabled,omitempty"`
}

// accountEtag is the etag of every account. The field is deprecated and means nothing.
const accountEtag = "MDEwMjE5MjA="

func (s *Server) message(account *world.ServiceAccount) accountMessage {
	return accountMessage{
		Name:           s.name(account),
		ProjectID:      s.worlds.Load().State.Project.ID,
		UniqueID:       account.UniqueID,
		Email:          account.Email,
		DisplayName:    account.DisplayName,
		Etag:           accountEtag,
		Description:    account.Description,
		OAuth2ClientID: account.UniqueID,
		Disabled:       account.Disabled,
	}
}

func (s *Server) name(account *world.ServiceAccount) string {
	return "projects/" + s.worlds.Load().State.Project.ID + "/serviceAccounts/" + account.Email
}

// accountFields returns the fields of the ServiceAccount message. Requests can write only
// display_name and description.
func accountFields() []string {
	return []string{"name", "project_id", "unique_id", "email", "display_name", "etag", "description", "oauth2_client_id", "disabled"}
}

// texts holds the writable fields of a service account.
type texts struct{ displayName, description string }

func readTexts(m googleapi.Message) (texts, error) {
	const maxDisplayName, maxDescription = 100, 256 // bytes
	fields := googleapi.Fields{Message: m}
	t := texts{displayName: fields.Text("display_name"), description: fields.Text("description")}
	switch {
	case fields.Err != nil:
		return texts{}, fields.Err
	case len(t.displayName) > maxDisplayName:
		return texts{}, googleapi.InvalidArgument(fmt.Sprintf("The display name is longer than %d bytes.", maxDisplayName))
	case len(t.description) > maxDescription:
		return texts{}, googleapi.InvalidArgument(fmt.Sprintf("The description is longer than %d bytes.", maxDescription))
	}
	return t, nil
}

// List handles serviceAccounts.list. It sorts by e-mail address.
func (s *Server) List(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "ListServiceAccounts", "iam.serviceAccounts.list"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "pageSize", "pageToken"); err != nil {
		return wire.Response{}, err
	}
	page, err := googleapi.ReadPage(r, googleapi.PageSizes{Default: 20, Largest: 100})
	if err != nil {
		return wire.Response{}, err
	}
	part, next := googleapi.Cut(page, s.worlds.Load().State.Accounts, func(a *world.ServiceAccount) string { return a.Email })
	var list struct {
		Accounts      []accountMessage `json:"accounts,omitempty"`
		NextPageToken string           `json:"nextPageToken,omitempty"`
	}
	for _, account := range part {
		list.Accounts = append(list.Accounts, s.message(account))
	}
	list.NextPageToken = next
	return googleapi.Reply(r, list), nil
}

// Create handles serviceAccounts.create.
func (s *Server) Create(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "CreateServiceAccount", "iam.serviceAccounts.create"); err != nil {
		return wire.Response{}, err
	}
	id, about, err := readCreate(r)
	if err != nil {
		return wire.Response{}, err
	}
	account := &world.ServiceAccount{
		DisplayName: about.displayName, Description: about.description, MaxTokenLifetime: world.DefaultTokenLifetime,
	}
	err = s.worlds.Update(func(w *world.World) (*world.World, error) {
		account.Email = w.Project.AccountEmail(id)
		if existing, ok := w.Account(account.Email); ok {
			return nil, googleapi.AlreadyExists(fmt.Sprintf("Service account %s already exists within project projects/%s.", id, w.Project.ID)).
				WithResource("projects/" + w.Project.ID + "/serviceAccounts/" + existing.Email)
		}
		account.UniqueID = w.NewUniqueID(account.Email)
		// Keys of an earlier account with the same name do not belong to this account.
		earlier, err := s.keyIDs(account)
		if err != nil {
			return nil, err
		}
		account.KeyStates = map[string]world.KeyState{}
		for _, id := range earlier {
			account.KeyStates[id] = world.KeyDeleted
		}
		return w.WithAccount(account), nil
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, s.message(account)), nil
}

// keyIDs returns the IDs of all key-file keys under the account's e-mail address, including
// keys of earlier accounts.
func (s *Server) keyIDs(account *world.ServiceAccount) ([]string, error) {
	known, err := s.keys.User(account.Email, account.UniqueID).Known()
	if err != nil {
		return nil, fmt.Errorf("read the keys of %q: %w", account.Email, err)
	}
	ids := make([]string, len(known))
	for i, key := range known {
		ids[i] = key.ID()
	}
	return ids, nil
}

func readCreate(r *http.Request) (id string, about texts, err error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return "", texts{}, err
	}
	m, err := googleapi.ReadMessage(r, "name", "account_id", "service_account")
	if err != nil {
		return "", texts{}, err
	}
	if id, err = m.Text("account_id"); err != nil {
		return "", texts{}, err
	}
	if err := checkAccountID(id); err != nil {
		return "", texts{}, err
	}
	described, err := m.Message("service_account", accountFields()...)
	if err != nil {
		return "", texts{}, err
	}
	about, err = readTexts(described)
	return id, about, err
}

// checkAccountID checks that the ID matches [a-z]([-a-z0-9]*[a-z0-9]) and has 6 to 30
// characters.
func checkAccountID(id string) error {
	const shortest, longest = 6, 30
	const letters, others = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789-"
	switch {
	case len(id) < shortest || len(id) > longest:
		return googleapi.InvalidArgument(fmt.Sprintf("The account ID %q does not have a length between %d and %d.", id, shortest, longest))
	case !strings.ContainsAny(id[:1], letters) || strings.Trim(id, others) != "" || strings.HasSuffix(id, "-"):
		return googleapi.InvalidArgument(fmt.Sprintf("The account ID %q does not match the pattern \"[a-z]([-a-z0-9]*[a-z0-9])\".", id))
	default:
		return nil
	}
}

// Get handles serviceAccounts.get.
func (s *Server) Get(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "GetServiceAccount", "iam.serviceAccounts.get", unknownAccount)
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, s.message(t.account)), nil
}

// Patch handles serviceAccounts.patch. It changes the texts in the update mask.
func (s *Server) Patch(r *http.Request) (wire.Response, error) {
	return s.update(r, "PatchServiceAccount", func() ([]string, texts, error) {
		m, err := googleapi.ReadMessage(r, "service_account", "update_mask")
		if err != nil {
			return nil, texts{}, err
		}
		mask, err := m.Mask("update_mask")
		if err != nil {
			return nil, texts{}, err
		}
		if len(mask) == 0 {
			return nil, texts{}, googleapi.InvalidArgument("The update mask is missing.")
		}
		described, err := m.Message("service_account", accountFields()...)
		if err != nil {
			return nil, texts{}, err
		}
		about, err := readTexts(described)
		return mask, about, err
	})
}

// Update handles serviceAccounts.update. It changes the display name.
func (s *Server) Update(r *http.Request) (wire.Response, error) {
	return s.update(r, "UpdateServiceAccount", func() ([]string, texts, error) {
		m, err := googleapi.ReadMessage(r, accountFields()...)
		if err != nil {
			return nil, texts{}, err
		}
		about, err := readTexts(m)
		return []string{"display_name"}, about, err
	})
}

func (s *Server) update(r *http.Request, method string, read func() ([]string, texts, error)) (wire.Response, error) {
	t, err := s.account(r, method, "iam.serviceAccounts.update", unknownAccount)
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	mask, about, err := read()
	if err != nil {
		return wire.Response{}, err
	}
	changed, err := s.change(t.account, func(account *world.ServiceAccount) error {
		for _, path := range mask {
			switch path {
			case "display_name":
				account.DisplayName = about.displayName
			case "description":
				account.Description = about.description
			default:
				return googleapi.InvalidArgument(fmt.Sprintf("Field %q cannot be updated.", path))
			}
		}
		return nil
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, s.message(changed)), nil
}

// Delete handles serviceAccounts.delete.
func (s *Server) Delete(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "DeleteServiceAccount", "iam.serviceAccounts.delete", unknownAccount)
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	err = s.worlds.Update(func(w *world.World) (*world.World, error) {
		current, ok := w.Account(t.account.UniqueID)
		if !ok {
			return nil, googleapi.NotFound(unknownAccount)
		}
		known, err := s.keyIDs(current)
		return w.WithoutAccount(current, s.now(), known...), err
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, empty{}), nil
}

// Undelete restores a deleted service account by its unique ID.
func (s *Server) Undelete(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(withoutWildcard(r, s.worlds.Load().State), guard.IAM(), "UndeleteServiceAccount", "iam.serviceAccounts.undelete"); err != nil {
		return wire.Response{}, err
	}
	if err := readEmpty(r); err != nil {
		return wire.Response{}, err
	}
	var restored *world.ServiceAccount
	err := s.worlds.Update(func(w *world.World) (next *world.World, err error) {
		if _, ok := w.Account(r.PathValue("account")); ok {
			return nil, preconditionFailed()
		}
		next, restored, err = w.Undeleted(r.PathValue("account"), s.now(), s.keyIDs)
		return next, err
	})
	switch {
	case errors.Is(err, world.ErrNoAccount):
		return wire.Response{}, googleapi.NotFound(unknownAccount)
	case errors.Is(err, world.ErrReplaced):
		return wire.Response{}, preconditionFailed()
	case err != nil:
		return wire.Response{}, err
	}
	return googleapi.Reply(r, struct {
		RestoredAccount accountMessage `json:"restoredAccount"`
	}{s.message(restored)}), nil
}

// withoutWildcard replaces the project "-" by the world's project.
func withoutWildcard(r *http.Request, w *world.World) *http.Request {
	if r.PathValue("project") == "-" {
		r.SetPathValue("project", w.Project.ID)
	}
	return r
}

// preconditionFailed returns the error of Google's server for a resource in the wrong state.
// Google gives no reason.
func preconditionFailed() error { return googleapi.FailedPrecondition("Precondition check failed.") }

// readEmpty reads a message with the resource name as its only field.
func readEmpty(r *http.Request) error {
	if err := googleapi.CheckQuery(r); err != nil {
		return err
	}
	_, err := googleapi.ReadMessage(r, "name")
	return err
}

// Enable lets a disabled service account get tokens again.
func (s *Server) Enable(r *http.Request) (wire.Response, error) {
	return s.able(r, "EnableServiceAccount", "iam.serviceAccounts.enable", func(a *world.ServiceAccount) { a.Disabled = false })
}

// Disable prevents a service account from getting tokens, and invalidates its present tokens.
func (s *Server) Disable(r *http.Request) (wire.Response, error) {
	return s.able(r, "DisableServiceAccount", "iam.serviceAccounts.disable", func(a *world.ServiceAccount) { a.Disabled = true })
}

func (s *Server) able(r *http.Request, method, permission string, set func(*world.ServiceAccount)) (wire.Response, error) {
	t, err := s.account(r, method, permission, unknownAccount)
	if err != nil {
		return wire.Response{}, err
	}
	if err := readEmpty(r); err != nil {
		return wire.Response{}, err
	}
	if _, err := s.change(t.account, func(account *world.ServiceAccount) error { set(account); return nil }); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, empty{}), nil
}
