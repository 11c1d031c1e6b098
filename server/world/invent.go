package world

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Numbers that Google draws are made here from names, so that the same fixture is the
// same world in every run and in every process.

// number makes 63 bits of a name.
func number(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:]) >> 1
}

// inventedID is a unique ID of 21 digits, as long as Google's.
func inventedID(email string) string {
	return fmt.Sprintf("1%020d", number("unique-id:"+email))
}

// inventedInstanceID is an instance ID of 19 digits, beyond 2^53 as real ones are.
func inventedInstanceID(project, name string) uint64 {
	const lowest = 1_000_000_000_000_000_000
	return lowest + number("instance-id:"+project+"/"+name)%(8*lowest)
}
