// Package invariant checks that an image is what the engine's own writes can
// lead to: that the catalog is that of its entries, that rows, indexes and
// key-value entries decode and agree, and that nothing is there that has no
// owner. It reads an image only, and so runs beside everything else.
//
// What it finds is damage, or a defect of the engine; a store that was only ever
// written by this engine has no violations.
package invariant

import (
	"encoding/hex"
	"fmt"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
)

// MaxViolations bounds what Check reports: it stops looking there.
const MaxViolations = 1000

// Violation is one thing that is not as it must be.
type Violation struct {
	// Space holds the entry at fault; 0 if it is about the image as a whole.
	Space catalog.SpaceID
	// Object names the table, index or scope that the space belongs to, or the
	// engine's record.
	Object string
	// Key is that of the entry at fault, or nil.
	Key []byte
	// Problem says what is wrong. It does not hold user data.
	Problem string
}

// String describes the violation in one line, with the key in hexadecimal.
func (v Violation) String() string {
	s := fmt.Sprintf("space %d (%s): %s", v.Space, v.Object, v.Problem)
	if v.Key != nil {
		s += ", at key " + hex.EncodeToString(v.Key)
	}
	return s
}

// Check reads the whole image and returns what it finds, none if all is well.
// Its cost is that of some look-ups for every row and every index entry.
func Check(image *state.Image) []Violation {
	c := &checker{image: image, owned: map[catalog.SpaceID]struct{}{}}
	c.catalog()
	for p := range image.Catalog().Projects() {
		for s := range image.Catalog().Scopes(p) {
			c.keyValues(s)
			for t := range image.Catalog().Tables(s) {
				c.table(t)
			}
		}
	}
	c.idempotency()
	c.orphans()
	return c.found
}

// checker is one run of Check.
type checker struct {
	image *state.Image
	owned map[catalog.SpaceID]struct{} // spaces that something has claimed
	found []Violation
}

func (c *checker) full() bool { return len(c.found) >= MaxViolations }

// report takes note of a violation. The key is copied; nil stands for none.
func (c *checker) report(space catalog.SpaceID, object string, key []byte, format string, args ...any) {
	if c.full() {
		return
	}
	if key != nil {
		key = append([]byte{}, key...)
	}
	c.found = append(c.found, Violation{Space: space, Object: object, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// claim makes the space one that has an owner and visits its entries, whose
// versions it checks.
func (c *checker) claim(space catalog.SpaceID, object string, visit func(key, val []byte, version uint64)) {
	c.owned[space] = struct{}{}
	cur := c.image.Cursor(space)
	for cur.First(); cur.Valid() && !c.full(); cur.Next() {
		if v := cur.Version(); v == 0 || v > c.image.Seq() {
			c.report(space, object, cur.Key(), "version %d, but the image is at %d", v, c.image.Seq())
		}
		visit(cur.Key(), cur.Value(), cur.Version())
	}
}

// catalog checks that the schema and its entries are the same.
func (c *checker) catalog() {
	const object = "catalog"
	live := map[string]string{}
	for _, e := range c.image.Catalog().Entries() {
		live[string(e.Key)] = string(e.Value)
	}
	c.claim(catalog.SpaceCatalog, object, func(key, val []byte, _ uint64) {
		switch want, ok := live[string(key)]; {
		case !ok:
			c.report(catalog.SpaceCatalog, object, key, "an entry of no object")
		case want != string(val):
			c.report(catalog.SpaceCatalog, object, key, "the entry differs from the object")
		}
		delete(live, string(key))
	})
	if len(live) > 0 && !c.full() {
		c.report(catalog.SpaceCatalog, object, nil, "%d objects have no entry", len(live))
	}
	_, err := catalog.Load(func(yield func(key, val []byte) bool) {
		cur := c.image.Cursor(catalog.SpaceCatalog)
		for cur.First(); cur.Valid() && yield(cur.Key(), cur.Value()); cur.Next() {
		}
	})
	if err != nil {
		c.report(catalog.SpaceCatalog, object, nil, "the entries make no catalog: %v", err)
	}
}

// keyValues checks the key-value entries of a scope.
func (c *checker) keyValues(s *catalog.Scope) {
	object := s.Project + "." + s.Name
	c.claim(s.ID, object, func(key, val []byte, version uint64) {
		created, _, err := record.SplitKV(val)
		switch {
		case err != nil:
			c.report(s.ID, object, key, "%v", err)
		case created == 0 || created > version:
			c.report(s.ID, object, key, "first written at %d, last at %d", created, version)
		}
	})
}

// idempotency checks that records and their order by age agree.
func (c *checker) idempotency() {
	const object, byAge = "idempotency records", "idempotency records by age"
	c.claim(catalog.SpaceIdempotency, object, func(key, val []byte, version uint64) {
		r, err := record.ParseIdempotency(val)
		switch {
		case err != nil:
			c.report(catalog.SpaceIdempotency, object, key, "%v", err)
			return
		case r.Seq != version:
			c.report(catalog.SpaceIdempotency, object, key, "a record of commit %d, written by %d", r.Seq, version)
		case r.Micros > c.image.Micros():
			c.report(catalog.SpaceIdempotency, object, key, "a record from after the image")
		}
		age := record.AppendIdempotencyAge(nil, r.Seq, key)
		if _, _, ok := c.image.Get(catalog.SpaceIdempotencyAge, age); !ok {
			c.report(catalog.SpaceIdempotency, object, key, "a record that is missing from the order by age")
		}
	})
	c.claim(catalog.SpaceIdempotencyAge, byAge, func([]byte, []byte, uint64) {})
	records, ages := c.image.Len(catalog.SpaceIdempotency), c.image.Len(catalog.SpaceIdempotencyAge)
	if records != ages {
		c.report(catalog.SpaceIdempotencyAge, byAge, nil, "%d entries for %d records", ages, records)
	}
}

// orphans looks for spaces that nothing has claimed.
func (c *checker) orphans() {
	for id, t := range c.image.Spaces() {
		if _, ok := c.owned[id]; !ok {
			c.report(id, "nothing", nil, "%d entries in a space without an owner", t.Len())
		}
	}
}
