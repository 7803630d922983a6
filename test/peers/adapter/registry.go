// Package adapter makes each peer a store.Store, with the settings its own
// documentation recommends for the level asked for. What a peer really
// guarantees at that level is stated beside it, and ends up in the report.
package adapter

import "github.com/empyrealapp/aedb-go/test/peers/store"

var registry []*store.Peer

func register(p *store.Peer) bool {
	registry = append(registry, p)
	return true
}

// All returns every peer that was compiled in, AEDB first, the limits last.
func All() []*store.Peer {
	var out []*store.Peer
	for _, role := range []store.Role{store.Subject, store.Rival, store.Limit} {
		for _, p := range registry {
			if p.Role == role {
				out = append(out, p)
			}
		}
	}
	return out
}

// Named returns a peer, or nil.
func Named(name string) *store.Peer {
	for _, p := range registry {
		if p.Name == name {
			return p
		}
	}
	return nil
}
