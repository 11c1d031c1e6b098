//go:build cluster

package kubernetes_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest/aloud"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	onNode      = "KUBERNETES_TEST_ON_NODE" // is set in the process that plays a node
	nodeAddress = "10.0.0.9"
	fromCloud   = "the server of the cloud"
)

// The commands of the DaemonSet lead packets of pods for 169.254.169.254 to the emulator, which knows the
// pods by their own addresses. The test plays a node and its pods in networks of their own.
func TestRedirect(t *testing.T) {
	if os.Getenv(onNode) != "" {
		newNodeScene(t).redirect()
		return
	}
	for _, program := range []string{"nft", "ip", "unshare", "nsenter", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			aloud.Skip(t, "WITHOUT THE REDIRECT OF A NODE:", program, "is not installed (apt-get install nftables iproute2 util-linux curl)")
		}
	}
	unshare := []string{"--map-root-user", "--net", "--fork", "--kill-child"}
	if output, err := exec.Command("unshare", append(unshare, "nft", "list", "ruleset")...).CombinedOutput(); err != nil {
		aloud.Skip(t, "WITHOUT THE REDIRECT OF A NODE: the rights for a network with nftables are missing:", err, string(output))
	}
	command := exec.CommandContext(t.Context(), "unshare", append(unshare, os.Args[0], "-test.run=^TestRedirect$", "-test.v")...)
	command.Env = append(os.Environ(), onNode+"=yes")
	if output, err := command.CombinedOutput(); err != nil || !bytes.Contains(output, []byte("--- PASS: TestRedirect")) {
		t.Errorf("%v\n%s", err, output)
	}
}

// nodeScene is a scene on a node. The process is in the node's network.
type nodeScene struct {
	*scene

	pods   map[string]string // the process ID in the network of each pod, by address
	daemon corev1.PodSpec
}

// newNodeScene starts the server of the cloud, an emulator as the DaemonSet has it, and two pods.
func newNodeScene(t *testing.T) *nodeScene {
	t.Helper()
	run(t, "ip", "link", "set", "lo", "up")
	run(t, "ip", "address", "add", nodeAddress+"/32", "dev", "lo")
	run(t, "ip", "address", "add", "169.254.169.254/32", "dev", "lo")
	cloud := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, fromCloud)
	})}
	go func() { _ = cloud.Serve(listen(t, "169.254.169.254:80")) }()
	t.Cleanup(func() { _ = cloud.Close() })

	s := &nodeScene{scene: begin(t, newFakeAPI(t)), pods: map[string]string{}}
	s.daemon = built(t, filepath.Join(manifests, "daemonset"))["DaemonSet"][0].(*appsv1.DaemonSet).Spec.Template.Spec
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	listener := listen(t, flag(t, s.daemon.Containers[0].Args, "--listen"))
	go func() { served <- s.emulator.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, arguments, err, output)
	}
	return string(output)
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// flag returns the value of a flag.
func flag(t *testing.T, arguments []string, name string) string {
	t.Helper()
	for i, one := range arguments[:len(arguments)-1] {
		if one == name {
			return arguments[i+1]
		}
	}
	t.Fatalf("the arguments %q lack %s", arguments, name)
	return ""
}

// connect makes a network for a pod and connects it with the node's. The end on the node has the address
// of a gateway, as with a bridge, or has none, as with Calico.
func (s *nodeScene) connect(address, gateway string) {
	s.t.Helper()
	holder := exec.Command("unshare", "--net", "--fork", "--kill-child", "sh", "-c", "echo; exec cat")
	input, err := holder.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	output, err := holder.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = input.Close()
		_ = holder.Wait()
	})
	if _, err := output.Read(make([]byte, 1)); err != nil { // the network is there
		s.t.Fatal(err)
	}
	children := run(s.t, "cat", "/proc/"+strconv.Itoa(holder.Process.Pid)+"/task/"+strconv.Itoa(holder.Process.Pid)+"/children")
	pod := strings.TrimSpace(children)
	s.pods[address] = pod
	link := "veth" + strconv.Itoa(len(s.pods))
	run(s.t, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod)
	run(s.t, "ip", "link", "set", link, "up")
	run(s.t, "ip", "route", "add", address+"/32", "dev", link)
	end, err := net.InterfaceByName(link)
	if err != nil {
		s.t.Fatal(err)
	}
	next := "169.254.1.1" // which only the neighbour's entry gives an interface
	if gateway != "" {
		next = gateway
		run(s.t, "ip", "address", "add", gateway+"/32", "dev", link)
	}
	for _, line := range [][]string{
		{"link", "set", "eth0", "up"},
		{"address", "add", address + "/32", "dev", "eth0"},
		{"neighbour", "add", next, "lladdr", end.HardwareAddr.String(), "dev", "eth0"},
		{"route", "add", next, "dev", "eth0", "scope", "link"},
		{"route", "add", "default", "via", next},
	} {
		run(s.t, "nsenter", append([]string{"--target", pod, "--net", "ip"}, line...)...)
	}
}

// ask asks the metadata server for the e-mail address of the default account: in the network of a pod, or
// in the node's if the address is empty.
func (s *nodeScene) ask(address string) string {
	s.t.Helper()
	line := []string{"curl", "--silent", "--show-error", "--max-time", "60", "--header", "Metadata-Flavor: Google", "http://169.254.169.254" + emailPath}
	if address != "" {
		line = append([]string{"nsenter", "--target", s.pods[address], "--net"}, line...)
	}
	return run(s.t, line[0], line[1:]...)
}

// expectAnswers checks the answers to the pods and the node.
func (s *nodeScene) expectAnswers(when string, want map[string]string) {
	s.t.Helper()
	for address, text := range want {
		if got := s.ask(address); !strings.Contains(got, text) {
			s.t.Errorf("%s: %q gets %q, want %q", when, address, got, text)
		}
	}
}

// container returns an init container of the DaemonSet.
func (s *nodeScene) container(name string) corev1.Container {
	s.t.Helper()
	for _, one := range s.daemon.InitContainers {
		if one.Name == name {
			return one
		}
	}
	s.t.Fatalf("the DaemonSet has no container %q", name)
	return corev1.Container{}
}

// start returns the command of the container that makes the redirect, as a kubelet runs it.
func (s *nodeScene) start() []string {
	s.t.Helper()
	one := s.container("redirect")
	rules := built(s.t, filepath.Join(manifests, "daemonset"))["ConfigMap"][0].(*corev1.ConfigMap).Data
	mounted := s.t.TempDir()
	for name, content := range rules {
		if err := os.WriteFile(filepath.Join(mounted, name), []byte(content), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	fields := map[string]string{"status.hostIP": nodeAddress}
	replaced := []string{one.VolumeMounts[0].MountPath + "/", mounted + "/"}
	for _, variable := range one.Env {
		replaced = append(replaced, "$("+variable.Name+")", fields[variable.ValueFrom.FieldRef.FieldPath])
	}
	var line []string
	for _, word := range one.Command {
		line = append(line, strings.NewReplacer(replaced...).Replace(word))
	}
	return line
}

// redirect plays the life of the DaemonSet's pod on the node.
func (s *nodeScene) redirect() {
	s.t.Helper()
	const bridged, routed, unknown = "10.244.1.5", "10.244.2.5", "10.244.1.6"
	s.connect(bridged, "10.244.1.1")
	s.connect(routed, "")
	s.connect(unknown, "10.244.1.2")
	s.account("annotated", google)
	s.account("plain", "")
	s.mustPod("bridged", "annotated", bridged)
	s.mustPod("routed", "plain", routed)
	s.settle(func() bool { return s.watcher.Addresses() == 2 })
	without := map[string]string{"": fromCloud, bridged: fromCloud, routed: fromCloud, unknown: fromCloud}
	s.expectAnswers("before", without)

	start, undo := s.start(), s.container("undo")
	run(s.t, start[0], start[1:]...)
	once := run(s.t, "nft", "list", "ruleset")
	for range 2 { // the pod is started again without its end
		run(s.t, start[0], start[1:]...)
	}
	if again := run(s.t, "nft", "list", "ruleset"); again != once || strings.Count(once, "dport 80") != 1 {
		s.t.Errorf("there are the rules\n%s\nand after two more starts\n%s", once, again)
	}
	var said bytes.Buffer
	waits := exec.CommandContext(s.t.Context(), undo.Command[0], undo.Command[1:]...)
	waits.Stdout, waits.Stderr = &said, &said
	if err := waits.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- waits.Wait() }()
	s.expectAnswers("with the redirect", map[string]string{
		"": fromCloud, bridged: google, routed: "demo-project.svc.id.goog", unknown: "no pod has the address " + unknown,
	})
	end := undo.Lifecycle.PreStop.Exec.Command
	run(s.t, end[0], end[1:]...)
	select {
	case err := <-ended:
		s.t.Errorf("the sidecar has ended: %v", err)
	default:
		_ = waits.Process.Kill()
		<-ended
	}
	if said.Len() > 0 {
		s.t.Errorf("the sidecar says %s", &said)
	}
	if left := run(s.t, "nft", "list", "ruleset"); left != "" {
		s.t.Errorf("the end leaves\n%s", left)
	}
	s.expectAnswers("after the end", without)
}
