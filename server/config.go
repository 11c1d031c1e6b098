package server

import (
	"log/slog"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// Config configures an emulator. World, Keys, Clock and Logger are required.
type Config struct {
	World        *world.World
	Keys         *keys.Ring
	Clock        *clock.Clock // also the clock of Keys
	Logger       *slog.Logger
	IAM          guard.Mode         // whether bearer tokens are checked and policies enforced; empty: the world decides
	AllowedHosts []hostname.Pattern // further host names under which the emulator answers

	Workloads    workloads.Chooser // decides which instance a request for metadata is for
	ProxyAllowed []hostname.Target // other hosts to which it forwards requests, as a forward proxy

	// GivenKeys is the directory with the first keys of Keys, if later keys do not get there. It may be empty.
	GivenKeys string

	// InstanceURLs returns the base URLs of the instances that have an address of their own at
	// present, by name.
	InstanceURLs func() map[string]string

	// DoorURLs returns the base URLs of the doors that have an address of their own at present, by the names
	// of their services. If it is nil, no door has an address of its own.
	DoorURLs func() map[string]string

	// Explain makes doors tell clients why they were refused, in the header X-Emulator-Reason.
	Explain bool

	// PublicURL returns the base URL of all surfaces but the control plane, which is then served only
	// by ServeControl. If it is nil, the control plane is served with the other surfaces.
	PublicURL func() string

	// Replica shares the world with other emulators. If it is nil, the emulator is alone. Otherwise World
	// must be the replicas' world.
	Replica Shared

	// ReplicaTimeout limits the wait for another replica's answer if a request asks all replicas. Zero means
	// 1 s.
	ReplicaTimeout time.Duration

	// Pods are the pods of a watched cluster. They are instances too. If Pods is nil, no cluster is watched.
	Pods *world.Pods

	// Cluster knows the keys of the watched cluster's tokens. If no cluster is watched, it is nil.
	Cluster sts.Cluster

	Parts []control.Part // outside of the process, on which the emulator depends

	// ShutdownTimeout is the time that unfinished requests have to finish when an address closes;
	// zero means 5 s.
	ShutdownTimeout time.Duration
}
