package wal

import (
	"testing"

	"github.com/empyrealapp/aedb-go/msgs"
)

func FuzzFramePayload(f *testing.F) {
	seed, err := appendPayload(nil, 1, 3, []msgs.Changeset{
		{Seq: 5, Micros: 7, Effects: []msgs.Effect{{Op: msgs.EffectPut, Space: 64, Key: []byte("k"), Value: []byte("v")}}},
		{Seq: 6, Micros: 8, Effects: []msgs.Effect{{Op: msgs.EffectDelete, Space: 64, Key: []byte("k")}, {Op: msgs.EffectDropSpace, Space: 64}}},
		{Seq: 7, Micros: 8, Volatile: true},
	}, MaxFrameBytes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePayload(data)
		if err != nil {
			return
		}
		// What decodes, encodes, and decodes to the same again.
		again, err := appendPayload(nil, p.term, p.durable, p.sets, MaxFrameBytes)
		if err != nil {
			t.Fatal(err)
		}
		q, err := parsePayload(again)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := appendPayload(nil, q.term, q.durable, q.sets, MaxFrameBytes)
		if err != nil || string(twice) != string(again) {
			t.Fatalf("%x encodes to %x, then to %x: %v", data, again, twice, err)
		}
	})
}
