package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go"
)

// change is one mutation on both sides.
type change struct {
	label  string
	engine aedb.Mutation
	// bind finds what is wrong with it given only what is defined.
	bind func(w *world) *failure
	// run does it to a world.
	run func(w *world) (*aedb.Reply, *failure)
	// defines says that later mutations are bound to what it leaves.
	defines bool
}

func unbound(*world) *failure { return nil }

// generator makes requests for one seed.
type generator struct {
	*rand.Rand
	requests int
}

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// where is a scope on both sides.
type where struct {
	name   string
	engine *aedb.Scope
}

func (g *generator) key() string {
	return pick(g, "k0", "k1", "k2", "k3", "n0", "n1", "n2", "w0", "w1", "s0")
}

func (g *generator) bytes() []byte {
	if g.IntN(4) == 0 {
		return binary.BigEndian.AppendUint64(nil, g.Uint64N(20))
	}
	b := make([]byte, g.IntN(12))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// keyChange makes a mutation of keys.
func (g *generator) keyChange(at where) change {
	key := g.key()
	switch g.IntN(10) {
	case 9:
		pairs := make([]aedb.KvPair, 1+g.IntN(4))
		for i := range pairs {
			pairs[i] = aedb.KvPair{Key: []byte(g.key()), Value: g.bytes()}
		}
		return change{fmt.Sprintf("KvSetMany %q", pairs), at.engine.KvSetMany(pairs...), unbound, func(w *world) (*aedb.Reply, *failure) {
			for _, p := range pairs {
				w.scopes[at.name].put(w, string(p.Key), p.Value)
			}
			return nil, nil
		}, false}
	case 0, 1:
		val := g.bytes()
		return change{"KvSet " + key, at.engine.KvSet([]byte(key), val), unbound, func(w *world) (*aedb.Reply, *failure) {
			w.scopes[at.name].put(w, key, val)
			return nil, nil
		}, false}
	case 2:
		return change{"KvDel " + key, at.engine.KvDel([]byte(key)), unbound, func(w *world) (*aedb.Reply, *failure) {
			return &aedb.Reply{Affected: one(w.scopes[at.name].drop(w, key))}, nil
		}, false}
	case 3:
		return g.signed(at, pick(g, "s0", "s1", key))
	case 4:
		return g.counted(at)
	}
	return g.arithmetic(at, key)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// arithmetic makes one of the operations on unsigned numbers.
func (g *generator) arithmetic(at where, key string) change {
	wide := key[0] == 'w'
	width := 8
	if wide {
		width = 32
	}
	small := uint256.NewInt(g.Uint64N(30))
	if g.IntN(20) == 0 {
		small = uint256.NewInt(math.MaxUint64)
		if wide {
			small = new(uint256.Int).SetAllOne()
		}
	}
	missing := pick(g, aedb.TreatAsZero, aedb.RejectMissing)
	b, amount := []byte(key), small.Uint64()
	op := pick(g, "add", "sub", "set", "max", "min")
	limit := aedb.RejectLimit
	var m aedb.Mutation
	switch op {
	case "add":
		limit = pick(g, aedb.RejectLimit, aedb.Saturate)
		if m = at.engine.KvAddU64(b, amount, missing, limit); wide {
			m = at.engine.KvAddU256(b, small, missing, limit)
		}
	case "sub":
		limit = pick(g, aedb.RejectLimit, aedb.NoOp)
		if m = at.engine.KvSubU64(b, amount, missing, limit); wide {
			m = at.engine.KvSubU256(b, small, missing, limit)
		}
	case "set":
		missing = aedb.TreatAsZero
		if m = at.engine.KvSetU64(b, amount); wide {
			m = at.engine.KvSetU256(b, small)
		}
	case "max":
		if m = at.engine.KvMaxU64(b, amount, missing); wide {
			m = at.engine.KvMaxU256(b, small, missing)
		}
	default:
		if m = at.engine.KvMinU64(b, amount, missing); wide {
			m = at.engine.KvMinU256(b, small, missing)
		}
	}
	number := func(x *uint256.Int) aedb.Value {
		if wide {
			return aedb.U256(x)
		}
		return aedb.U64(x.Uint64())
	}
	return change{op + " " + key, m, unbound, func(w *world) (*aedb.Reply, *failure) {
		s := w.scopes[at.name]
		old, found := s.keys[key]
		if !found && missing == aedb.RejectMissing || found && len(old.val) != width {
			return nil, fail(validation)
		}
		now, next := new(uint256.Int).SetBytes(old.val), new(uint256.Int)
		most := uint256.NewInt(math.MaxUint64)
		if wide {
			most.SetAllOne()
		}
		write := true
		switch op {
		case "add":
			if room := new(uint256.Int).Sub(most, now); small.Gt(room) {
				if limit != aedb.Saturate {
					return nil, fail(overflow)
				}
				next.Set(most)
			} else {
				next.Add(now, small)
			}
		case "sub":
			if small.Gt(now) {
				if limit != aedb.NoOp {
					return nil, fail(underflow)
				}
				next.Set(now)
				write = false
			} else {
				next.Sub(now, small)
			}
		case "set":
			next.Set(small)
		case "max":
			if next.Set(now); small.Gt(now) {
				next.Set(small)
			}
			write = !found || !next.Eq(now)
		default:
			if next.Set(now); small.Lt(now) {
				next.Set(small)
			}
			write = !found || !next.Eq(now)
		}
		reply := &aedb.Reply{Affected: one(write), Version: old.version}
		if write {
			full := next.Bytes32()
			s.put(w, key, full[32-width:])
			reply.Version = w.seq
		}
		if reply.Version != 0 {
			reply.Value = number(next)
		}
		return reply, nil
	}, false}
}

// signed makes an addition to a signed number with bounds.
func (g *generator) signed(at where, key string) change {
	delta := g.Int64N(21) - 10
	if g.IntN(20) == 0 {
		delta = pick(g, int64(math.MaxInt64), int64(math.MinInt64))
	}
	missing := pick(g, aedb.TreatAsZero, aedb.RejectMissing)
	var least, greatest *int64
	if g.IntN(2) == 0 {
		least, greatest = new(int64), new(int64)
		*least, *greatest = -g.Int64N(15), g.Int64N(15)
	}
	return change{"KvAddI64 " + key, at.engine.KvAddI64([]byte(key), delta, missing, least, greatest), unbound,
		func(w *world) (*aedb.Reply, *failure) {
			s := w.scopes[at.name]
			old, found := s.keys[key]
			if !found && missing == aedb.RejectMissing || found && len(old.val) != 8 {
				return nil, fail(validation)
			}
			now := int64(0)
			if found {
				now = int64(binary.BigEndian.Uint64(old.val))
			}
			switch next := now + delta; {
			case delta > 0 && next < now:
				return nil, fail(overflow)
			case delta < 0 && next > now:
				return nil, fail(underflow)
			case least != nil && (next < *least || next > *greatest):
				return nil, fail(validation)
			default:
				s.put(w, key, binary.BigEndian.AppendUint64(nil, uint64(next)))
				return &aedb.Reply{Affected: 1, Value: aedb.Int(next), Version: w.seq}, nil
			}
		}, false}
}

// counted makes an addition to a sharded counter.
func (g *generator) counted(at where) change {
	name, amount, hint := pick(g, "c0", "c1"), g.Uint64N(100), g.Uint32N(100)
	shards := pick(g, 4, 4, 4, 4, 4, 8)
	if g.IntN(30) == 0 {
		amount = math.MaxUint64
	}
	return change{"CounterAdd " + name, at.engine.CounterAdd([]byte(name), amount, shards, hint), unbound,
		func(w *world) (*aedb.Reply, *failure) {
			s := w.scopes[at.name]
			c := s.counters[name]
			if c == nil {
				c = &counter{make([]uint64, shards)}
			}
			if len(c.shards) != shards {
				return nil, fail(validation)
			}
			shard := &c.shards[int(hint)%shards]
			if *shard+amount < *shard {
				return nil, fail(overflow)
			}
			*shard += amount
			s.counters[name] = c
			return nil, nil
		}, false}
}
