package world_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

const many = 10_000

// large describes many service accounts, each with a policy.
func large() []byte {
	var accounts, policies strings.Builder
	for i := range many {
		email := fmt.Sprintf("account-%05d@demo-project.iam.gserviceaccount.com", i)
		fmt.Fprintf(&accounts, "  - {email: %s}\n", email)
		fmt.Fprintf(&policies, "  - resource: serviceAccounts/%s\n    bindings:\n", email)
		policies.WriteString("      - {role: roles/iam.serviceAccountTokenCreator, members: [\"user:dev@example.com\"]}\n")
	}
	return []byte("project: {id: demo-project}\nusers: [{email: dev@example.com}]\nserviceAccounts:\n" + accounts.String() +
		"policies:\n" + policies.String())
}

// The size of a world matters when it is read and edited, but not when it is queried.
func BenchmarkLargeWorld(b *testing.B) {
	text := large()
	fixture, err := fixtures.Parse("large.yaml", text, "")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := fixtures.Parse("large.yaml", text, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	w := world.New(fixture)
	account := w.Accounts[many/2]
	user := w.Users[0].Principal()
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			world.New(fixture)
		}
	})
	b.Run("may", func(b *testing.B) {
		for b.Loop() {
			if !w.May(user, iam.GetAccessToken, account, time.Time{}) {
				b.Fatal("it may not")
			}
		}
	})
	b.Run("edit", func(b *testing.B) {
		for b.Loop() {
			w.WithAccount(account)
		}
	})
	b.Run("delete", func(b *testing.B) {
		for b.Loop() {
			w.WithoutAccount(account, time.Unix(0, 0))
		}
	})
}
