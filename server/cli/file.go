package cli

import (
	"os"

	"gcp-metadata-emulator/keys/disk"
)

// replaceFile writes a file that the user has named: see [disk.WriteFile].
func replaceFile(path, content string, mode os.FileMode) error {
	return disk.WriteFile(path, []byte(content), mode)
}
