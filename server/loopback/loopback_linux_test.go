package loopback_test

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gcp-metadata-emulator/server/loopback"
)

// inside is set in the process with its own network namespace.
const inside = "TEST_LOOPBACK_INSIDE"

// TestAdd runs itself in a new network namespace, in which the loopback interface is down and
// the test can do no harm.
func TestAdd(t *testing.T) {
	t.Parallel()
	if os.Getenv(inside) == "" {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAdd$", "-test.v")
		again.Env = append(os.Environ(), inside+"=1")
		again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if os.Geteuid() != 0 {
			again.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		output, err := again.CombinedOutput()
		if errors.Is(err, fs.ErrPermission) {
			t.Skipf("no network namespace can be made: %v", err)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return
	}
	address := netip.MustParseAddr("169.254.169.254")
	checkNotThere(t, "before", address)
	remove, err := loopback.Add(address)
	if err != nil {
		t.Fatal(err)
	}
	removeAgain, err := loopback.Add(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := removeAgain(); err != nil {
		t.Fatal(err)
	}
	for _, there := range []netip.Addr{address, netip.MustParseAddr("127.0.0.1")} {
		if err := connect(t, there); err != nil {
			t.Errorf("%s is not there: %v", there, err)
		}
	}
	checkNotThere(t, "besides", address.Next())
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	checkNotThere(t, "after", address)
}

func checkNotThere(t *testing.T, when string, address netip.Addr) {
	t.Helper()
	if err := connect(t, address); err == nil {
		t.Errorf("%s: %s is there", when, address)
	}
}

// connect listens at an address and connects to it.
func connect(t *testing.T, address netip.Addr) error {
	t.Helper()
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, 0)))
	if err != nil {
		return err
	}
	defer listener.Close()
	conn, err := net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr))
	if err != nil {
		return err
	}
	return conn.Close()
}

// TestAddNeedsTheRight runs itself as an unprivileged user.
func TestAddNeedsTheRight(t *testing.T) {
	t.Parallel()
	if os.Getenv(inside) != "" {
		_, err := loopback.Add(netip.MustParseAddr("169.254.169.254"))
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("an unprivileged user added an address: %v", err)
		}
		return
	}
	const nobody = 65534
	if os.Geteuid() != 0 {
		t.Skip("only root can switch to another user")
	}
	again := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestAddNeedsTheRight$")
	again.Env = append(os.Environ(), inside+"=1")
	again.Dir = "/"
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if output, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

func TestConfine(t *testing.T) {
	t.Parallel()
	if !loopback.Has(netip.MustParseAddr("127.0.0.1")) || loopback.Has(netip.MustParseAddr("192.0.2.1")) {
		t.Error("Has does not know the addresses of the loopback interface")
	}
	config := net.ListenConfig{Control: loopback.Confine}
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var device string
	if err := socket.Control(func(fd uintptr) {
		device, err = unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || device != "lo" {
		t.Errorf("the socket is bound to %q, %v", device, err)
	}
}
