// Package dump exports a state as a text that people and other programs can read, and
// makes the very same state of it again, to the byte: the digests are equal.
//
// A dump is JSON Lines. The first line is the Header. Then, for each space in order, a
// line says what it is, and a line for each entry follows, in the order of the keys:
//
//	{"space":1,"object":"schema","kind":"schema","entries":4}
//	{"at":2,"definition":{"sort":"table","id":67,"name":"people","in":66,...}}
//	{"space":65,"object":"p.app.people","kind":"rows","entries":1,"columns":[{"name":"id","type":"Integer"},{"name":"name","type":"Text"}]}
//	{"at":12,"row":[1,"Ada"]}
//	{"space":66,"object":"p.app","kind":"keys","entries":1}
//	{"at":13,"created":9,"key":"6b","value":"76"}
//	{"space":67,"object":"p.app.people.by_name","kind":"index","entries":1}
//	{"at":12,"key":"04416461","stored":"80"}
//
// "at" is the version: the commit that wrote the entry. Bytes are hexadecimal. Cells are
// as value.AppendJSON writes them, and a row is in the order of the columns. A row or a
// definition that would not come out of its form as the same bytes is written as "key"
// and "stored". The last line holds the number of lines before it and the BLAKE3 digest
// of all their bytes. docs/format.md has the rest.
//
// Invariants:
//
//  1. Equal states of one store give equal bytes: no clock is read.
//  2. A dump that is read without an error is whole, and its state has the digest that
//     the header states.
//  3. A reader allocates in proportion to the bytes that it was given, whatever they
//     say. It and the writer hold one line at a time, besides the state itself.
package dump

import (
	"encoding/hex"
	"encoding/json"

	"github.com/empyrealapp/aedb-go/catalog"
)

// Version is the version of the format that this package writes, and the newest that it
// reads.
const Version = 1

// MaxLineBytes is the longest line that is read. No entry that a store can hold takes
// more.
const MaxLineBytes = 2<<30 + 1<<20

// Header is the first line of a dump.
type Header struct {
	// Format is the version of the format.
	Format int `json:"aedb_dump"`
	// Seq is the commit whose state this is, and Micros its time in microseconds since
	// the Unix epoch.
	Seq    uint64 `json:"seq"`
	Micros int64  `json:"micros"`
	// Incarnation is the identity of the store that was exported.
	Incarnation string `json:"incarnation"`
	// Digest is that of the state, in hexadecimal; see state.Image.Digest.
	Digest string `json:"digest"`
	// Tables, Rows and Keys count what users have made, Entries everything.
	Tables  int   `json:"tables"`
	Rows    int   `json:"rows"`
	Keys    int   `json:"kv_entries"`
	Entries int64 `json:"entries"`
	// Permissive is true if the state was read in permissive recovery: it may lack
	// commits.
	Permissive bool `json:"permissive,omitempty"`
}

// Kinds of space.
const (
	kindSchema  = "schema"
	kindEngine  = "engine"
	kindKeys    = "keys"
	kindRows    = "rows"
	kindIndex   = "index"
	kindUnknown = "unknown" // of no object: a violation, but kept
)

// section is the line in front of the entries of a space.
type section struct {
	Space   catalog.SpaceID `json:"space"`
	Object  string          `json:"object"`
	Kind    string          `json:"kind"`
	Entries int             `json:"entries"`
	Columns []column        `json:"columns,omitempty"`
}

type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// entry is the line of an entry: with a definition, with a row, with a key and the
// user's value, or with a key and what is stored under it.
type entry struct {
	At         uint64            `json:"at"`
	Definition *definition       `json:"definition"`
	Row        []json.RawMessage `json:"row"`
	Created    *uint64           `json:"created"`
	Key        hexBytes          `json:"key"`
	Value      hexBytes          `json:"value"`
	Stored     hexBytes          `json:"stored"`
}

// trailer is the last line.
type trailer struct {
	Lines  int64  `json:"end_after_lines"`
	Digest string `json:"blake3"`
}

// hexBytes are bytes in hexadecimal. Nil ones were not there.
type hexBytes []byte

// UnmarshalJSON implements json.Unmarshaler.
func (b *hexBytes) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	*b = make([]byte, 0, len(text)/2)
	var err error
	*b, err = hex.AppendDecode(*b, []byte(text))
	return err
}

// objects tells what each space of a catalog is.
type objects map[catalog.SpaceID]object

type object struct {
	name, kind string
	table      *catalog.Table // of rows
}

func objectsOf(c *catalog.Catalog) objects {
	all := objects{
		catalog.SpaceCatalog:        {name: "schema", kind: kindSchema},
		catalog.SpaceIdempotency:    {name: "idempotency", kind: kindEngine},
		catalog.SpaceIdempotencyAge: {name: "idempotency by age", kind: kindEngine},
	}
	for p := range c.Projects() {
		for s := range c.Scopes(p) {
			all[s.ID] = object{name: s.Project + "." + s.Name, kind: kindKeys}
			for t := range c.Tables(s) {
				all[t.ID] = object{name: t.String(), kind: kindRows, table: t}
				for _, x := range t.Indexes {
					all[x.ID] = object{name: t.String() + "." + x.Name, kind: kindIndex}
				}
			}
		}
	}
	return all
}

// of returns what a space is.
func (o objects) of(id catalog.SpaceID) object {
	if found, ok := o[id]; ok {
		return found
	}
	return object{name: "nothing", kind: kindUnknown}
}
