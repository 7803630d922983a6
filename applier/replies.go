package applier

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/tagged"
	"github.com/empyrealapp/aedb-go/value"
)

// Fields of what is kept of replies. Tags are never reused.
const (
	keptReply protowire.Number = 1 // bytes, one for each
	keptLost  protowire.Number = 2 // varint; 1 says that there were too many bytes

	replyMutation protowire.Number = 1 // varint
	replyAffected protowire.Number = 2 // varint
	replyValue    protowire.Number = 3 // bytes, key encoding; left out for Null
	replyVersion  protowire.Number = 4 // varint
	replyRow      protowire.Number = 5 // bytes, one for each

	rowBefore protowire.Number = 1 // bytes, key encoding of all columns
	rowAfter  protowire.Number = 2 // bytes, likewise; left out for a row that was removed
)

// maxKeptReplies bounds what is kept of the replies to one request, in bytes: it
// stays in memory and in every checkpoint as long as the request is remembered.
const maxKeptReplies = 64 << 10

// appendReplies appends what is kept of the replies to a request: all or nothing
// of them.
func appendReplies(dst []byte, replies []msgs.Reply) []byte {
	start := len(dst)
	for i := range replies {
		dst = appendField(dst, keptReply, encodeReply(&replies[i]))
		if len(dst)-start > maxKeptReplies {
			return appendNumber(dst[:start], keptLost, 1)
		}
	}
	return dst
}

func encodeReply(r *msgs.Reply) (b []byte) {
	b = appendNumber(b, replyMutation, uint64(r.Mutation))
	b = appendNumber(b, replyAffected, uint64(r.Affected))
	if !r.Value.IsNull() {
		b = appendField(b, replyValue, value.AppendKey(nil, r.Value))
	}
	b = appendNumber(b, replyVersion, r.Version)
	for _, c := range r.Rows {
		row := appendField(nil, rowBefore, value.AppendKeyRow(nil, c.Before...))
		if c.After != nil {
			row = appendField(row, rowAfter, value.AppendKeyRow(nil, c.After...))
		}
		b = appendField(b, replyRow, row)
	}
	return b
}

func appendField(dst []byte, tag protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, tag, protowire.BytesType), content)
}

func appendNumber(dst []byte, tag protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, tag, protowire.VarintType), n)
}

// parseReplies reads what appendReplies wrote. The replies have memory of their
// own.
func parseReplies(raw []byte) (replies []msgs.Reply, lost bool, err error) {
	err = tagged.Each(raw, func(tag protowire.Number, n uint64, content []byte) error {
		switch tag {
		case keptReply:
			r, err := parseReply(content)
			replies = append(replies, r)
			return err
		case keptLost:
			lost = n != 0
		}
		return nil
	})
	if err != nil {
		return nil, false, errs.Wrap(errs.CodeIntegrity, err, "what is remembered of a request cannot be read")
	}
	return replies, lost, nil
}

func parseReply(raw []byte) (r msgs.Reply, err error) {
	err = tagged.Each(raw, func(tag protowire.Number, n uint64, content []byte) (err error) {
		switch tag {
		case replyMutation:
			r.Mutation = int(n)
		case replyAffected:
			r.Affected = int(n)
		case replyValue:
			r.Value, _, err = value.DecodeKey(content)
		case replyVersion:
			r.Version = n
		case replyRow:
			var c msgs.RowChange
			c, err = parseChange(content)
			r.Rows = append(r.Rows, c)
		}
		return err
	})
	return r, err
}

func parseChange(raw []byte) (c msgs.RowChange, err error) {
	err = tagged.Each(raw, func(tag protowire.Number, _ uint64, content []byte) (err error) {
		switch tag {
		case rowBefore:
			c.Before, err = parseRow(content)
		case rowAfter:
			c.After, err = parseRow(content)
		}
		return err
	})
	return c, err
}

func parseRow(raw []byte) (row value.Row, err error) {
	row = value.Row{}
	for len(raw) > 0 {
		var v value.Value
		if v, raw, err = value.DecodeKey(raw); err != nil {
			return nil, err
		}
		row = append(row, v)
	}
	return row, nil
}
