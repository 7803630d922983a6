package catalog

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/errs"
)

func sequence(entries []Entry) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, val []byte) bool) {
		for _, e := range entries {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}
}

func TestLoadSkipsFieldsOfNewerVersions(t *testing.T) {
	want := withUsers(t).Entries()
	entries := slices.Clone(want)
	for i, e := range entries {
		b := appendUint(slices.Clone(e.Value), 1000, 5)
		b = appendText(b, 1001, "later")
		b = protowire.AppendFixed64(protowire.AppendTag(b, 1002, protowire.Fixed64Type), 9)
		entries[i].Value = protowire.AppendFixed32(protowire.AppendTag(b, tagName, protowire.Fixed32Type), 9)
	}
	c, err := Load(sequence(entries))
	require.NoError(t, err)
	require.Equal(t, want, c.Entries())
}

func TestLoadRefusesWhatBreaksTheRules(t *testing.T) {
	good := withUsers(t).Entries() // counter, project 64, scope 65, table 66 with index 67
	require.Len(t, good, 4)
	table := func(name string, parent SpaceID, more ...func([]byte) []byte) []byte {
		b := appendText(nil, tagName, name)
		b = appendUint(b, tagParent, uint64(parent))
		for _, f := range more {
			b = f(b)
		}
		return b
	}
	nested := func(tag protowire.Number, fields ...uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			f := appendText(nil, 2, "c")
			for i := 0; i < len(fields); i += 2 {
				f = appendUint(f, protowire.Number(fields[i]), fields[i+1])
			}
			return appendBytes(b, tag, f)
		}
	}
	number := func(tag protowire.Number, n uint64) func([]byte) []byte {
		return func(b []byte) []byte { return appendUint(b, tag, n) }
	}
	column, key, next := nested(tagColumn, 1, 1, 3, 4), number(tagKey, 1), number(tagNextID, 2)
	at := func(i int, e Entry) []Entry {
		out := slices.Clone(good)
		out[i] = e
		return out
	}
	asTable := func(value []byte) []Entry { return at(3, Entry{tableKey(66), value}) }
	cases := map[string]struct {
		entries []Entry
		code    errs.Code
	}{
		"good":                       {good, ""},
		"a good minimal table":       {asTable(table("t", 65, column, key, next)), ""},
		"out of order":               {[]Entry{good[0], good[1], good[0]}, errs.CodeDecode},
		"key twice":                  {[]Entry{good[0], good[1], good[1]}, errs.CodeDecode},
		"two counters":               {append([]Entry{good[0], {objectKey(SortCounter, 1), good[0].Value}}, good[1:]...), errs.CodeIntegrity},
		"short key":                  {at(1, Entry{[]byte{byte(SortProject)}, nil}), errs.CodeDecode},
		"unknown sort":               {at(1, Entry{objectKey(9, 64), nil}), errs.CodeUnavailable},
		"bad wire bytes":             {at(1, Entry{projectKey(64), []byte{0xff}}), errs.CodeDecode},
		"counter too low":            {at(0, counterEntry(66)), errs.CodeIntegrity},
		"counter below the first":    {at(0, counterEntry(3)), errs.CodeIntegrity},
		"no counter":                 {good[1:], errs.CodeIntegrity},
		"engine id":                  {at(1, Entry{projectKey(2), appendText(nil, tagName, "p")}), errs.CodeIntegrity},
		"no name":                    {at(1, Entry{projectKey(64), nil}), errs.CodeIntegrity},
		"project twice":              {slices.Insert(slices.Clone(good), 2, Entry{projectKey(67), appendText(nil, tagName, "p")}), errs.CodeIntegrity},
		"id twice":                   {slices.Insert(slices.Clone(good), 2, Entry{projectKey(66), appendText(nil, tagName, "q")}), errs.CodeIntegrity},
		"index id taken":             {slices.Insert(slices.Clone(good), 2, Entry{projectKey(67), appendText(nil, tagName, "q")}), errs.CodeIntegrity},
		"scope without project":      {at(2, Entry{scopeKey(65), table("app", 63)}), errs.CodeIntegrity},
		"table without scope":        {asTable(table("t", 64, column, key, next)), errs.CodeIntegrity},
		"table without columns":      {asTable(table("t", 65, next)), errs.CodeIntegrity},
		"table without key":          {asTable(table("t", 65, column, next)), errs.CodeIntegrity},
		"key without column":         {asTable(table("t", 65, column, number(tagKey, 9), next)), errs.CodeIntegrity},
		"key column twice":           {asTable(table("t", 65, column, key, key, next)), errs.CodeIntegrity},
		"column id not handed out":   {asTable(table("t", 65, column, key, number(tagNextID, 1))), errs.CodeIntegrity},
		"column twice":               {asTable(table("t", 65, column, column, key, next)), errs.CodeIntegrity},
		"column of unknown type":     {asTable(table("t", 65, nested(tagColumn, 1, 1, 3, 99), key, next)), errs.CodeUnavailable},
		"index without columns":      {asTable(table("t", 65, column, key, next, nested(tagIndex, 1, 67))), errs.CodeIntegrity},
		"index without id":           {asTable(table("t", 65, column, key, next, nested(tagIndex, 3, 1))), errs.CodeIntegrity},
		"index of unknown column":    {asTable(table("t", 65, column, key, next, nested(tagIndex, 1, 67, 3, 8))), errs.CodeIntegrity},
		"default with trailing":      {asTable(table("t", 65, withDefault([]byte{1, 1}), key, next)), errs.CodeDecode},
		"default of another type":    {asTable(table("t", 65, withDefault([]byte{2, 1}), key, next)), errs.CodeIntegrity},
		"Null default, not nullable": {asTable(table("t", 65, withDefault([]byte{1}), key, next)), errs.CodeIntegrity},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Load(sequence(tc.entries))
			require.Equal(t, tc.code, errs.CodeOf(err), "%v", err)
		})
	}
}

// withDefault adds an Integer column with the given encoded default.
func withDefault(raw []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		f := appendUint(nil, tagColumnID, 1)
		f = appendText(f, tagColumnName, "c")
		f = appendUint(f, tagColumnKind, 4)
		return appendBytes(b, tagColumn, appendBytes(f, tagColumnDefault, raw))
	}
}

// FuzzLoad replaces the value of one entry of a catalog. Load must answer, and
// what it accepts must come back from its own entries.
func FuzzLoad(f *testing.F) {
	good := withUsers(f).Entries()
	for i, e := range good {
		f.Add(uint8(i), e.Key[0], binary.BigEndian.Uint64(e.Key[1:]), e.Value)
	}
	f.Fuzz(func(t *testing.T, at, sort uint8, id uint64, val []byte) {
		entries := slices.Clone(good)
		entries[int(at)%len(entries)] = Entry{objectKey(Sort(sort), SpaceID(id)), val}
		slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key, b.Key) })
		c, err := Load(sequence(entries))
		if err != nil {
			require.NotEmpty(t, errs.CodeOf(err))
			return
		}
		again, err := Load(sequence(c.Entries()))
		require.NoError(t, err)
		require.Equal(t, c.Entries(), again.Entries())
	})
}
