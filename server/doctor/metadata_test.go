package doctor_test

import (
	"testing"

	"gcp-metadata-emulator/server/doctor"
	"gcp-metadata-emulator/server/reach"
)

// Python's library uses TLS for metadata if a variable or the guest agent's files say so. At an address of
// the emulator's own that fails.
func TestMetadataTLS(t *testing.T) {
	t.Parallel()
	const (
		off    = "export GCE_METADATA_MTLS_MODE=none"
		strict = "GCE_METADATA_MTLS_MODE=strict"
		files  = reach.MetadataRoots + " exists and " + reach.MetadataClient + " exists"
	)
	ours := map[string]string{reach.MetadataRoots: "ours", reach.MetadataClient: "key"}
	googles := map[string]string{reach.MetadataRoots: "google's", reach.MetadataClient: "key"}
	byVariable := func(mode string) map[string]string {
		return map[string]string{"GCE_METADATA_HOST": emulator, "GCE_METADATA_IP": emulator, "GCE_METADATA_MTLS_MODE": mode}
	}
	for _, test := range []struct {
		what      string
		variables map[string]string
		files     map[string]string
		finds     doctor.Verdict
		at        string
		because   string
		change    string
	}{
		{"files at an address of ours", byVariable(""), googles, doctor.FindsNothing, "", "GCE_METADATA_HOST=" + emulator + " and " + files, off},
		{"files of ours at an address of ours", byVariable(""), ours, doctor.FindsNothing, "", "GCE_METADATA_HOST=" + emulator + " and " + files, off},
		{"files, switched off", byVariable("none"), googles, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"half of the files", byVariable(""), map[string]string{reach.MetadataRoots: "ours"}, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"strict at an address of ours", byVariable("STRICT"), ours, doctor.FindsNothing, "", "GCE_METADATA_MTLS_MODE=STRICT and GCE_METADATA_HOST=" + emulator, off},
		{"strict without files", map[string]string{"GCE_METADATA_MTLS_MODE": "strict"}, nil, doctor.FindsNothing, "", strict, off},
		{
			"strict with files of ours",
			map[string]string{"GCE_METADATA_MTLS_MODE": "strict"},
			ours, doctor.FindsEmulator, "169.254.169.254:443",
			strict + " and " + files + ", metadata.google.internal is compiled in, and the hosts file has 169.254.169.254", "",
		},
		{
			"strict with Google's files",
			map[string]string{"GCE_METADATA_MTLS_MODE": "strict"},
			googles, doctor.FindsUntrusted, "169.254.169.254:443",
			strict + " and " + files + ", metadata.google.internal is compiled in, and the hosts file has 169.254.169.254", off,
		},
		{"files at Google's address", nil, googles, doctor.FindsEmulator, "169.254.169.254:80", "GCE_METADATA_HOST or GCE_METADATA_ROOT is not set, and the hosts file has 169.254.169.254", ""},
	} {
		m := machine{variables: test.variables, files: test.files, taken: true, hosts: map[string]string{"metadata.google.internal": "169.254.169.254"}}
		got := m.diagnose(python, doctor.ForCredentials)
		if got.Finds != test.finds || got.At != test.at || got.Because != test.because || got.Change != test.change {
			t.Errorf("%s: %+v", test.what, got)
		}
	}
}
