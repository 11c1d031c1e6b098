package mds

import (
	"sync"
	"sync/atomic"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// tree is the content for a version of an instance.
type tree struct {
	instance      *world.Instance
	profile       *profile
	root          *node
	computeEngine token.ComputeEngine // the description of the instance in ID tokens
	base          *node               // the directory computeMetadata/v1
	top, accounts *node               // the directories instance and instance/service-accounts, or nil
	osLogin       *node               // the directory oslogin of a VM, or nil
	enforceScopes bool                // tokens get only the requested scopes
	guestEnabled  bool                // guest attributes are enabled
	loginEnabled  bool                // OS Login is enabled
	lastAccess    atomic.Pointer[accessBody]
	identities    sync.Map // token.Identity by identified
}

// trees holds the trees of a version of the world. They are built on demand.
type trees struct {
	world  *world.World
	made   sync.Map // of *lazyTree, by *world.Instance
	before sync.Map // of earlier *tree, by the name of an instance, for reuse of nodes
}

// lazyTree builds a tree once, although all waiting requests ask for it at the same time.
type lazyTree struct {
	once func() *tree
	made atomic.Pointer[tree]
}

// tree returns the tree of an instance.
func (s *Server) tree(w *world.World, instance *world.Instance) *tree {
	current := s.trees.Load()
	if current == nil || current.world != w {
		current = s.follow(w)
	}
	known, ok := current.made.Load(instance)
	if !ok {
		lazy := &lazyTree{}
		lazy.once = sync.OnceValue(func() *tree {
			before, _ := current.before.LoadAndDelete(instance.Name)
			earlier, _ := before.(*tree)
			lazy.made.Store(s.newTree(w, instance, earlier))
			return lazy.made.Load()
		})
		known, _ = current.made.LoadOrStore(instance, lazy)
	}
	return known.(*lazyTree).once()
}

// follow starts the trees of another version of the world. It keeps the trees of unchanged
// instances, and keeps earlier trees of changed instances for reuse of their nodes.
func (s *Server) follow(w *world.World) *trees {
	s.renewing.Lock()
	defer s.renewing.Unlock()
	current := s.trees.Load()
	if current != nil && current.world == w {
		return current
	}
	next := &trees{world: w}
	if current != nil && current.world.Project.ID == w.Project.ID && current.world.Project.Number == w.Project.Number {
		next.inherit(current)
	}
	s.limits.Range(func(name, _ any) bool {
		if _, exists := w.Instance(name.(string)); !exists {
			s.limits.Delete(name)
		}
		return true
	})
	s.trees.Store(next)
	return next
}

func (t *trees) inherit(from *trees) {
	from.before.Range(func(name, earlier any) bool {
		if _, exists := t.world.Instance(name.(string)); exists {
			t.before.Store(name, earlier)
		}
		return true
	})
	from.made.Range(func(key, lazy any) bool {
		instance := key.(*world.Instance)
		switch now, exists := t.world.Instance(instance.Name); {
		case !exists:
		case now == instance:
			t.made.Store(instance, lazy)
		default:
			if earlier := lazy.(*lazyTree).made.Load(); earlier != nil {
				t.before.Store(instance.Name, earlier)
			}
		}
		return true
	})
}

// Forget drops trees of instances that the world no longer has, although its version is the same:
// pods that were removed, or that have another identity.
func (s *Server) Forget() {
	current := s.trees.Load()
	if current == nil {
		return
	}
	current.made.Range(func(instance, _ any) bool {
		if now, exists := current.world.Instance(instance.(*world.Instance).Name); !exists || now != instance {
			current.made.Delete(instance)
		}
		return true
	})
}

// newTree builds a tree. It reuses nodes of an earlier tree if the service accounts are the
// same; earlier may be nil.
func (s *Server) newTree(w *world.World, instance *world.Instance, earlier *tree) *tree {
	var before *node
	if earlier != nil && areSame(earlier.instance.ServiceAccounts, instance.ServiceAccounts) {
		before = earlier.root
	}
	t := &tree{
		instance: instance, profile: s.profiles[instance.Profile], root: build(instance, before), computeEngine: token.OnInstance(w, instance),
	}
	t.base, _ = t.root.find("computeMetadata", "v1")
	t.top, _ = t.root.find("computeMetadata", "v1", "instance")
	t.accounts, _ = t.root.find("computeMetadata", "v1", "instance", "service-accounts")
	t.enforceScopes = isTrue(attribute(t.root, "enable-access-token-enforce-scopes"))
	if instance.Profile == fixtures.GCE {
		t.osLogin, _ = t.root.find("computeMetadata", "v1", "oslogin")
	}
	t.loginEnabled = isTrue(attribute(t.root, "enable-oslogin"))
	t.guestEnabled = isTrue(attribute(t.root, "enable-guest-attributes"))
	return t
}

// areSame reports whether two lists are the same in memory. Edits of metadata keep the list.
func areSame(a, b []world.AttachedAccount) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
