package wal

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Tags of a frame's payload, of a changeset and of an effect. A number is never
// used for another purpose; retired numbers are listed in docs/format.md (none
// so far).
//
// Fields below firstInformativeField change what a commit means: a reader that
// does not know one refuses the frame. Fields from there on may be skipped.
const (
	frameTerm      protowire.Number = 1 // varint
	frameFirstSeq  protowire.Number = 2 // varint
	frameUnsynced  protowire.Number = 3 // varint; commits before first seq not yet durable
	frameMicros    protowire.Number = 4 // fixed64
	frameChangeset protowire.Number = 5 // bytes, one for each commit

	// Fields 1 to 3 of a changeset are its effects, in order: the field number
	// is the msgs.EffectOp.
	changesetMicros   protowire.Number = 4 // fixed64; only where it differs from the frame's
	changesetVolatile protowire.Number = 5 // varint, 1; there are no effects then

	effectSpace protowire.Number = 1 // varint
	effectKey   protowire.Number = 2 // bytes
	effectValue protowire.Number = 3 // bytes

	firstInformativeField protowire.Number = 16
)

// fixedFieldSize is the size of a tag below 16 with a fixed64 behind it.
const fixedFieldSize = 1 + 8

// volatileFieldSize is the size of the mark of a volatile commit.
const volatileFieldSize = 2

// appendPayload appends the payload of a frame, of room bytes at most. The caller has
// checked that the sets are contiguous and that durable is below the first seq.
func appendPayload(dst []byte, term, durable uint64, sets []msgs.Changeset, room int) ([]byte, error) {
	start := len(dst)
	first, micros := sets[0].Seq, sets[0].Micros
	dst = protowire.AppendTag(dst, frameTerm, protowire.VarintType)
	dst = protowire.AppendVarint(dst, term)
	dst = protowire.AppendTag(dst, frameFirstSeq, protowire.VarintType)
	dst = protowire.AppendVarint(dst, first)
	if unsynced := first - 1 - durable; unsynced != 0 {
		dst = protowire.AppendTag(dst, frameUnsynced, protowire.VarintType)
		dst = protowire.AppendVarint(dst, unsynced)
	}
	dst = protowire.AppendTag(dst, frameMicros, protowire.Fixed64Type)
	dst = protowire.AppendFixed64(dst, uint64(micros))
	for i := range sets {
		set := &sets[i]
		size, err := changesetSize(set, micros)
		if err != nil {
			return nil, err
		}
		if total := len(dst) - start + 1 + protowire.SizeBytes(size); total > room {
			return nil, errs.Exceeded(fmt.Sprintf("frame at seq %d", first), "max_frame_bytes", int64(total), int64(room))
		}
		dst = protowire.AppendTag(dst, frameChangeset, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(size))
		dst = appendChangeset(dst, set, micros)
	}
	return dst, nil
}

// changesetSize returns the size of an encoded changeset, or an error if an
// effect has an operation that the format does not know.
func changesetSize(set *msgs.Changeset, frameMicros int64) (int, error) {
	size := 0
	if set.Micros != frameMicros {
		size += fixedFieldSize
	}
	if set.Volatile {
		return size + volatileFieldSize, nil
	}
	for i := range set.Effects {
		e := &set.Effects[i]
		if e.Op < msgs.EffectPut || e.Op > msgs.EffectDropSpace {
			return 0, errs.New(errs.CodeEncode, "commit %d has an effect with unknown operation %d", set.Seq, e.Op)
		}
		size += 1 + protowire.SizeBytes(effectSize(e))
	}
	return size, nil
}

func appendChangeset(dst []byte, set *msgs.Changeset, frameMicros int64) []byte {
	if set.Micros != frameMicros {
		dst = protowire.AppendTag(dst, changesetMicros, protowire.Fixed64Type)
		dst = protowire.AppendFixed64(dst, uint64(set.Micros))
	}
	if set.Volatile {
		dst = protowire.AppendTag(dst, changesetVolatile, protowire.VarintType)
		return protowire.AppendVarint(dst, 1)
	}
	for i := range set.Effects {
		e := &set.Effects[i]
		dst = protowire.AppendTag(dst, protowire.Number(e.Op), protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(effectSize(e)))
		dst = protowire.AppendTag(dst, effectSpace, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(e.Space))
		if hasKey(e) {
			dst = protowire.AppendTag(dst, effectKey, protowire.BytesType)
			dst = protowire.AppendBytes(dst, e.Key)
		}
		if hasValue(e) {
			dst = protowire.AppendTag(dst, effectValue, protowire.BytesType)
			dst = protowire.AppendBytes(dst, e.Value)
		}
	}
	return dst
}

func effectSize(e *msgs.Effect) int {
	size := 1 + protowire.SizeVarint(uint64(e.Space))
	if hasKey(e) {
		size += 1 + protowire.SizeBytes(len(e.Key))
	}
	if hasValue(e) {
		size += 1 + protowire.SizeBytes(len(e.Value))
	}
	return size
}

// An empty key or value is the default and takes no space.
func hasKey(e *msgs.Effect) bool   { return e.Op != msgs.EffectDropSpace && len(e.Key) != 0 }
func hasValue(e *msgs.Effect) bool { return e.Op == msgs.EffectPut && len(e.Value) != 0 }

// payload is a decoded frame payload. The keys and values of the effects alias
// the bytes it was decoded from.
type payload struct {
	term    uint64
	first   uint64
	durable uint64
	sets    []msgs.Changeset
}

// parsePayload decodes the payload of a frame. What it allocates is bounded by a
// fixed multiple of the length of the payload.
func parsePayload(data []byte) (payload, error) {
	head, err := parsePayloadHead(data)
	if err != nil {
		return payload{}, err
	}
	commits, err := countChangesets(head.rest)
	if err != nil {
		return payload{}, err
	}
	p := payload{
		term: head.term, first: head.first, durable: head.durable,
		sets: make([]msgs.Changeset, 0, commits),
	}
	// One array for the effects of all commits, of an estimated size: where it is
	// too small, append starts the next one and the earlier slices stay valid.
	effects := make([]msgs.Effect, 0, max(commits, len(data)/128))
	for rest := head.rest; len(rest) > 0; {
		f, n, err := consumeField(rest)
		if err != nil {
			return payload{}, err
		}
		rest = rest[n:]
		if f.number != frameChangeset || f.kind != protowire.BytesType {
			if err := skip(f, "frame"); err != nil {
				return payload{}, err
			}
			continue
		}
		if head.first+uint64(len(p.sets)) == math.MaxUint64 {
			return payload{}, errs.New(errs.CodeDecode, "frame runs past the last commit seq")
		}
		set := msgs.Changeset{Seq: head.first + uint64(len(p.sets)), Micros: head.micros}
		start := len(effects)
		if effects, err = parseChangeset(f.bytes, &set, effects); err != nil {
			return payload{}, err
		}
		// The capacity is cut as well: an append by the consumer must not reach
		// into the next changeset.
		set.Effects = effects[start:len(effects):len(effects)]
		p.sets = append(p.sets, set)
	}
	if len(p.sets) == 0 {
		return payload{}, errs.New(errs.CodeDecode, "frame at seq %d holds no commit", head.first)
	}
	return p, nil
}

// countChangesets returns the number of commits in what follows the head.
func countChangesets(data []byte) (commits int, err error) {
	for len(data) > 0 {
		f, n, err := consumeField(data)
		if err != nil {
			return 0, err
		}
		if f.number == frameChangeset {
			commits++
		}
		data = data[n:]
	}
	return commits, nil
}

// payloadHead are the fields that stand, in this order, before the changesets.
type payloadHead struct {
	term    uint64
	first   uint64
	durable uint64
	micros  int64
	rest    []byte
}

// parsePayloadHead decodes the start of a payload. The order of these fields is
// part of the format, so that the head of a frame can be read alone, and random
// bytes be turned down at once.
func parsePayloadHead(data []byte) (payloadHead, error) {
	malformed := func() (payloadHead, error) {
		return payloadHead{}, errs.New(errs.CodeDecode, "frame has a malformed head")
	}
	h := payloadHead{rest: data}
	var ok bool
	if h.term, h.rest, ok = consumeVarintField(h.rest, frameTerm); !ok {
		return malformed()
	}
	if h.first, h.rest, ok = consumeVarintField(h.rest, frameFirstSeq); !ok || h.first == 0 {
		return malformed()
	}
	unsynced, rest, ok := consumeVarintField(h.rest, frameUnsynced)
	if ok {
		h.rest = rest
	}
	if unsynced > h.first-1 {
		return malformed()
	}
	h.durable = h.first - 1 - unsynced
	if len(h.rest) < fixedFieldSize || h.rest[0] != byte(frameMicros<<3)|byte(protowire.Fixed64Type) {
		return malformed()
	}
	micros, _ := protowire.ConsumeFixed64(h.rest[1:])
	h.micros, h.rest = int64(micros), h.rest[fixedFieldSize:]
	return h, nil
}

// consumeVarintField takes a varint field of the given number (below 16) from
// the start of data. Without one it returns zero, data and false.
func consumeVarintField(data []byte, number protowire.Number) (v uint64, rest []byte, ok bool) {
	if len(data) == 0 || data[0] != byte(number<<3)|byte(protowire.VarintType) {
		return 0, data, false
	}
	v, n := protowire.ConsumeVarint(data[1:])
	if n < 0 {
		return 0, data, false
	}
	return v, data[1+n:], true
}

func parseChangeset(data []byte, set *msgs.Changeset, effects []msgs.Effect) ([]msgs.Effect, error) {
	start := len(effects)
	for len(data) > 0 {
		f, n, err := consumeField(data)
		if err != nil {
			return nil, err
		}
		data = data[n:]
		switch {
		case f.number <= protowire.Number(msgs.EffectDropSpace) && f.kind == protowire.BytesType:
			e := msgs.Effect{Op: msgs.EffectOp(f.number)}
			if err := parseEffect(f.bytes, &e); err != nil {
				return nil, err
			}
			effects = append(effects, e)
		case f.number == changesetMicros && f.kind == protowire.Fixed64Type:
			set.Micros = int64(f.scalar)
		case f.number == changesetVolatile && f.kind == protowire.VarintType && f.scalar == 1:
			set.Volatile = true
		default:
			if err := skip(f, "changeset"); err != nil {
				return nil, err
			}
		}
	}
	if set.Volatile && len(effects) > start {
		return nil, errs.New(errs.CodeDecode, "commit %d is volatile and has effects", set.Seq)
	}
	return effects, nil
}

func parseEffect(data []byte, e *msgs.Effect) error {
	for len(data) > 0 {
		f, n, err := consumeField(data)
		if err != nil {
			return err
		}
		data = data[n:]
		switch {
		case f.number == effectSpace && f.kind == protowire.VarintType:
			e.Space = msgs.SpaceID(f.scalar)
		case f.number == effectKey && f.kind == protowire.BytesType && e.Op != msgs.EffectDropSpace:
			e.Key = f.bytes
		case f.number == effectValue && f.kind == protowire.BytesType && e.Op == msgs.EffectPut:
			e.Value = f.bytes
		default:
			if err := skip(f, "effect"); err != nil {
				return err
			}
		}
	}
	return nil
}

// field is one tagged field: a scalar for varint and fixed64, bytes for bytes.
type field struct {
	number protowire.Number
	kind   protowire.Type
	scalar uint64
	bytes  []byte
}

// consumeField takes one field of any kind from the start of data and returns
// its size. Bytes alias data, with their capacity cut.
func consumeField(data []byte) (field, int, error) {
	var f field
	number, kind, n := protowire.ConsumeTag(data)
	if n < 0 {
		return f, 0, errs.Wrap(errs.CodeDecode, protowire.ParseError(n), "malformed tag")
	}
	f.number, f.kind = number, kind
	var m int
	switch kind {
	case protowire.VarintType:
		f.scalar, m = protowire.ConsumeVarint(data[n:])
	case protowire.Fixed64Type:
		f.scalar, m = protowire.ConsumeFixed64(data[n:])
	case protowire.BytesType:
		f.bytes, m = protowire.ConsumeBytes(data[n:])
		f.bytes = f.bytes[:len(f.bytes):len(f.bytes)]
	default:
		m = protowire.ConsumeFieldValue(number, kind, data[n:])
	}
	if m < 0 {
		return f, 0, errs.Wrap(errs.CodeDecode, protowire.ParseError(m), "malformed field %d", number)
	}
	return f, n + m, nil
}

// skip passes over a field that is only informative, and refuses any other that
// its message does not know.
func skip(f field, message string) error {
	if f.number < firstInformativeField {
		return errs.New(errs.CodeUnavailable, "%s has the unknown field %d of wire type %d: written by a newer version", message, f.number, f.kind)
	}
	return nil
}
