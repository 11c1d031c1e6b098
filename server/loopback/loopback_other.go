//go:build !linux

package loopback

import (
	"errors"
	"net/netip"
	"syscall"
)

func add(netip.Addr) (remove func() error, err error) { return nil, errors.ErrUnsupported }

func has(netip.Addr) bool { return false }

func confine(syscall.RawConn) error { return errors.ErrUnsupported }
