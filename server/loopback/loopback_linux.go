package loopback

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

const name = "lo"

func add(address netip.Addr) (remove func() error, err error) {
	lo, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("find the loopback interface: %w", err)
	}
	if err := request(unix.RTM_NEWLINK, 0, bringUp(lo.Index)); err != nil {
		return nil, fmt.Errorf("bring up the loopback interface: %w", err)
	}
	body := host(lo.Index, address)
	if err := request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		return nil, fmt.Errorf("add %s to the loopback interface: %w", address, err)
	}
	return func() error {
		if err := request(unix.RTM_DELADDR, 0, body); err != nil {
			return fmt.Errorf("remove %s from the loopback interface: %w", address, err)
		}
		return nil
	}, nil
}

func has(address netip.Addr) bool {
	lo, err := net.InterfaceByName(name)
	if err != nil {
		return false
	}
	own, err := lo.Addrs()
	return err == nil && slices.ContainsFunc(own, func(one net.Addr) bool { return isThe(address, one) })
}

func confine(socket syscall.RawConn) error {
	var err error
	controlErr := socket.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) })
	if err == nil {
		err = controlErr
	}
	return os.NewSyscallError("setsockopt", err)
}

// bringUp returns the body of a message to bring an interface up: struct ifinfomsg of
// rtnetlink(7).
func bringUp(index int) []byte {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(index)) //nolint:gosec // an index is positive and small
	binary.NativeEndian.PutUint32(body[8:], unix.IFF_UP)   // the flags
	binary.NativeEndian.PutUint32(body[12:], unix.IFF_UP)  // the mask of flags to change
	return body
}

// host returns the body of a message about an address for this machine only: struct ifaddrmsg
// of rtnetlink(7), and an attribute.
func host(index int, address netip.Addr) []byte {
	family := byte(unix.AF_INET)
	if address.Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, byte(address.BitLen()), 0, unix.RT_SCOPE_HOST}
	body = binary.NativeEndian.AppendUint32(body, uint32(index)) //nolint:gosec // as above
	value := address.AsSlice()
	body = binary.NativeEndian.AppendUint16(body, uint16(unix.SizeofRtAttr+len(value))) //nolint:gosec // at most 20
	body = binary.NativeEndian.AppendUint16(body, unix.IFA_LOCAL)
	return append(body, value...)
}

// request sends a message to the kernel and waits for the reply (netlink(7)).
func request(kind, flags uint16, body []byte) error {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(socket) }() // nothing depends on the socket any more

	message := make([]byte, 0, unix.SizeofNlMsghdr+len(body))
	message = binary.NativeEndian.AppendUint32(message, uint32(cap(message))) //nolint:gosec // about 50
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	message = append(message, make([]byte, 8)...) // the kernel fills in the sequence number and the sender
	message = append(message, body...)
	if err := unix.Sendto(socket, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}

	answer := make([]byte, os.Getpagesize())
	n, _, err := unix.Recvfrom(socket, answer, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("unexpected reply from netlink")
	}
	if number := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); number != 0 { //nolint:gosec // the number is negative
		return unix.Errno(-number)
	}
	return nil
}
