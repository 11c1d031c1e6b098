package world

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// The emulator derives Google's numbers from names, so a fixture describes the same world in every
// run and in every process.

// number hashes a name to 63 bits.
func number(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:]) >> 1
}

// inventedID returns a unique ID of 21 digits, as long as Google's.
func inventedID(email string) string {
	return fmt.Sprintf("1%020d", number("unique-id:"+email))
}

// inventedInstanceID returns an instance ID of 19 digits, beyond 2^53 as real IDs are.
func inventedInstanceID(project, name string) uint64 {
	const lowest = 1_000_000_000_000_000_000
	return lowest + number("instance-id:"+project+"/"+name)%(8*lowest)
}
