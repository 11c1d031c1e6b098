package iamadmin_test

import (
	"encoding/base64"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/emulatortest"
)

// A key file works from when its key is created until it is disabled or deleted, and so long
// the key is published.
func TestKeyLifecycle(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	account := emulatortest.Email("target")
	file := e.CreateKey(t, account)
	key := emulatortest.AccountsPath + "/" + account + "/keys/" + file.PrivateKeyID
	for _, step := range []struct {
		call  string
		works bool
	}{
		{"", true},
		{"POST " + key + ":disable", false},
		{"POST " + key + ":enable", true},
		{"DELETE " + key, false},
	} {
		if step.call != "" {
			e.Do(t, step.call, "")
		}
		if got := e.Works(t, file); got != step.works {
			t.Errorf("after %s: the key file works: %t, want %t", step.call, got, step.works)
		}
		for _, published := range []emulatortest.Verifier{
			e.JWKS(t, "/service_accounts/v1/jwk/"+account), e.Certificates(t, "/robot/v1/metadata/x509/"+account),
		} {
			if got := slices.Contains(published.IDs(), file.PrivateKeyID); got != step.works {
				t.Errorf("after %s: the key is published: %t, want %t", step.call, got, step.works)
			}
		}
	}
	if status := e.Invoke(t, "x", "POST "+key+":enable", "{}", nil); status != "NOT_FOUND" {
		t.Errorf("a deleted key is enabled: %s", status)
	}
}

// An uploaded key is as good as one that was created, with a certificate or without.
func TestUploadedKey(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	private := emulatortest.Must[*keys.Key](t)(keys.NewRing("", time.Now).User("x@y.z", "1").Active(t.Context()))
	text := emulatortest.Must[string](t)(private.PrivateKey())
	for account, public := range map[string]string{"target": private.Certificate(), "worker": private.PublicKey()} {
		file := emulatortest.KeyFile{PrivateKey: text, ClientEmail: emulatortest.Email(account), TokenURI: e.URL + "/token"}
		if e.Works(t, file) {
			t.Errorf("%s: the key works before it is uploaded", account)
		}
		uploaded := e.Do(t, "POST "+emulatortest.AccountsPath+"/"+emulatortest.Email(account)+"/keys:upload",
			`{"publicKeyData":"`+base64.StdEncoding.EncodeToString([]byte(public))+`"}`)
		if !e.Works(t, file) {
			t.Errorf("%s: the uploaded key does not work", account)
		}
		name, _ := uploaded["name"].(string)
		e.Do(t, "DELETE /v1/"+name, "")
		if e.Works(t, file) {
			t.Errorf("%s: the key works after it was deleted", account)
		}
	}
}

func TestKeyLimits(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	keys := emulatortest.AccountsPath + "/" + emulatortest.Email("target") + "/keys"
	var group sync.WaitGroup
	var created atomic.Int64
	for range 14 {
		group.Go(func() {
			if e.Invoke(t, "x", "POST "+keys, `{"keyAlgorithm":"KEY_ALG_RSA_1024"}`, nil) == "OK" {
				created.Add(1)
			}
		})
	}
	group.Wait()
	if created.Load() != 10 {
		t.Errorf("of fourteen calls at once %d have made a key", created.Load())
	}
	if status := e.Invoke(t, "x", "POST "+keys, "{}", nil); status != "RESOURCE_EXHAUSTED" {
		t.Errorf("an eleventh key: %s", status)
	}
	var list struct {
		Keys []struct{ Name, KeyType string }
	}
	if status := e.Invoke(t, "x", "GET "+keys+"?keyTypes=SYSTEM_MANAGED", "", &list); status != "OK" || len(list.Keys) != 1 {
		t.Fatalf("%s, system-managed keys: %+v", status, list)
	}
	name := "/v1/" + list.Keys[0].Name
	for _, call := range []string{"DELETE " + name, "POST " + name + ":disable"} {
		if status := e.Invoke(t, "x", call, "", nil); status != "FAILED_PRECONDITION" {
			t.Errorf("%s of a system-managed key: %s", call, status)
		}
	}
}

// An account of the same name as an earlier one does not have its keys.
func TestRecreatedAccountHasNoKeys(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	file := e.CreateKey(t, emulatortest.Email("target"))
	e.Do(t, "DELETE "+emulatortest.AccountsPath+"/"+emulatortest.Email("target"), "")
	e.Do(t, "POST "+emulatortest.AccountsPath, `{"accountId":"target"}`)
	if e.Works(t, file) {
		t.Error("the deleted account's key works")
	}
	if fresh := e.CreateKey(t, emulatortest.Email("target")); !e.Works(t, fresh) {
		t.Error("the new account's key does not work")
	}
}

// An account that is brought back has its own keys, and not those of the one that followed it.
func TestUndeletedAccountHasItsOwnKeys(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	own := e.CreateKey(t, emulatortest.Email("target"))
	e.Do(t, "DELETE "+emulatortest.AccountsPath+"/"+emulatortest.Email("target"), "")
	e.Do(t, "POST "+emulatortest.AccountsPath, `{"accountId":"target"}`)
	follower := e.CreateKey(t, emulatortest.Email("target"))
	e.Do(t, "DELETE "+emulatortest.AccountsPath+"/"+emulatortest.Email("target"), "")
	e.Do(t, "POST "+emulatortest.AccountsPath+"/100000000000000000003:undelete", "")
	if !e.Works(t, own) {
		t.Error("the account's own key does not work")
	}
	if e.Works(t, follower) {
		t.Error("another account's key works")
	}
}
