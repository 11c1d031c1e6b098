package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// trialsVariable sets the number of rounds of trials that are short otherwise.
const trialsVariable = "GCP_METADATA_EMULATOR_TRIALS"

// watched is an emulator that watches a fixture in root/parent/folder/mount, a directory as Kubernetes
// mounts a ConfigMap: the fixture and a key set are links to ..data/NAME, and ..data is a link to the
// folder of a version.
type watched struct {
	*testing.T

	serving

	root  string
	round int // the role in the fixture
	etag  string
}

func (w *watched) path(parts ...string) string {
	return filepath.Join(append([]string{w.root}, parts...)...)
}

// do stops the test at the first error.
func (w *watched) do(errs ...error) {
	w.Helper()
	if err := errors.Join(errs...); err != nil {
		w.Fatal(err)
	}
}

// write writes a fixture with the next role, and a key set, in a folder.
func (w *watched) write(folder string) {
	w.Helper()
	w.round++
	fixture := fmt.Sprintf(`workloadIdentityPools: [{id: pool, providers: [{id: provider, issuer: "https://example.com", jwksFile: keys.json}]}]
instances: [{name: vm, metadata: {instance: {attributes: {role: "%d"}}}}]
`, w.round)
	w.do(os.WriteFile(filepath.Join(folder, "world.yaml"), []byte(fixture), 0o600),
		os.WriteFile(filepath.Join(folder, "keys.json"), []byte(`{"keys": []}`), 0o600))
}

// version makes the folder of a new version in a mount, and returns its name.
func (w *watched) version(mount string) string {
	w.Helper()
	folder, err := os.MkdirTemp(mount, "..v")
	w.do(err)
	w.write(folder)
	return filepath.Base(folder)
}

// mount makes a mount with a new version.
func (w *watched) mount(path string) {
	w.Helper()
	w.do(os.MkdirAll(path, 0o700))
	w.do(os.Symlink(w.version(path), filepath.Join(path, "..data")),
		os.Symlink("..data/world.yaml", filepath.Join(path, "world.yaml")),
		os.Symlink("..data/keys.json", filepath.Join(path, "keys.json")))
}

// changes are the ways in which another fixture comes to the same path.
func changes() map[string]func(w *watched, at string) {
	return map[string]func(w *watched, at string){
		"edited in place": func(w *watched, at string) { w.write(filepath.Join(at, "..data")) },
		"replaced file": func(w *watched, at string) {
			folder := w.version(at)
			for _, name := range []string{"world.yaml", "keys.json"} {
				w.do(os.Rename(filepath.Join(at, folder, name), filepath.Join(at, "..data", name)))
			}
		},
		"replaced version": func(w *watched, at string) {
			link := filepath.Join(at, "..data_tmp")
			w.do(os.Symlink(w.version(at), link), os.Rename(link, filepath.Join(at, "..data")))
		},
		"removed and made again": func(w *watched, at string) {
			w.do(os.RemoveAll(at))
			w.mount(at)
		},
		"swapped mount":  func(w *watched, _ string) { w.swap("parent", "folder", "mount") },
		"swapped folder": func(w *watched, _ string) { w.swap("parent", "folder") },
		"swapped parent": func(w *watched, _ string) { w.swap("parent") },
		"mount away, edited and back": func(w *watched, _ string) {
			w.awayAndBack("parent", "folder", "mount")
		},
		"folder away, edited and back": func(w *watched, _ string) { w.awayAndBack("parent", "folder") },
		"parent away, edited and back": func(w *watched, _ string) { w.awayAndBack("parent") },
	}
}

// swap puts another folder in the place of a folder, and removes the old one.
func (w *watched) swap(folder ...string) {
	w.Helper()
	whole := []string{"parent", "folder", "mount"}
	fresh := w.path("fresh")
	w.mount(filepath.Join(append([]string{fresh}, whole[len(folder):]...)...))
	w.do(os.Rename(w.path(folder...), w.path("old")), os.Rename(fresh, w.path(folder...)), os.RemoveAll(w.path("old")))
}

// awayAndBack renames a folder, edits the fixture in it, and renames it back.
func (w *watched) awayAndBack(folder ...string) {
	w.Helper()
	whole := []string{"parent", "folder", "mount"}
	w.do(os.Rename(w.path(folder...), w.path("away")))
	w.write(filepath.Join(append(append([]string{w.path("away")}, whole[len(folder):]...), "..data")...))
	w.do(os.Rename(w.path("away"), w.path(folder...)))
}

// same are changes after which the files hold the same as before.
func same() map[string]func(w *watched, at string) {
	return map[string]func(w *watched, at string){
		"written again": func(w *watched, at string) { w.round--; w.write(filepath.Join(at, "..data")) },
		"away and back": func(w *watched, at string) {
			w.do(os.Rename(w.path("parent"), w.path("away")), os.Rename(w.path("away"), w.path("parent")))
		},
	}
}

// await waits until the emulator serves the role in the fixture.
func (w *watched) await() {
	w.Helper()
	for {
		request, err := http.NewRequestWithContext(w.Context(), http.MethodGet,
			w.url+"/computeMetadata/v1/instance/attributes/role?wait_for_change=true&last_etag="+w.etag, http.NoBody)
		w.do(err)
		request.Header.Set("Metadata-Flavor", "Google")
		response, err := http.DefaultClient.Do(request)
		w.do(err)
		role, err := io.ReadAll(response.Body)
		w.do(err, response.Body.Close())
		if w.etag = response.Header.Get("ETag"); string(role) == strconv.Itoa(w.round) {
			return
		}
	}
}

func startWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{T: t, root: t.TempDir(), etag: "0"}
	w.mount(w.path("parent", "folder", "mount"))
	w.serving = startServing(t, "--watch", "--fixture", w.path("parent", "folder", "mount", "world.yaml"))
	w.await()
	return w
}

// Whatever happens to the folders and links on the way to the fixture, the emulator serves what the path
// leads to, and loads each content once.
func TestFilesMove(t *testing.T) {
	t.Parallel()
	w := startWatched(t)
	at, made := w.path("parent", "folder", "mount"), 0
	for range sized(t, trialsVariable, 1) {
		for name, change := range changes() {
			for _, nothing := range same() {
				nothing(w, at)
			}
			t.Log(name)
			change(w, at)
			w.await()
			made++
		}
	}
	w.end()
	content, err := os.ReadFile(w.log)
	w.do(err)
	reloaded := bytes.Count(content, []byte("msg=reloaded"))
	if reloaded != made {
		t.Errorf("%d changes, and %d reloads:\n%s", made, reloaded, content)
	}
	t.Logf("%d changes of folders, links and files: each served, %d reloads, %d changes that change nothing", made, reloaded, made*len(same()))
}
