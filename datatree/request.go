package datatree

import (
	"math"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// A request is the array [multi, [op, ...]]; an op is the array of its kind and its fields. A Version is written as its Int plus 1, modulo 2^32.
const (
	kindCreate = 1 // path, data, mode, ttl, parents
	kindSet    = 2 // path, data, version
	kindDelete = 3 // path, version, recursive
	kindCheck  = 4 // path, version, czxid
)

// AppendOps appends the encoding of a request to b. What is wrong with it whatever the tree looks like is refused here with an *OpError, before
// anything is numbered or sent: malformed paths and arguments, data longer than maxData. Outside a multi there is exactly one op.
func AppendOps(b []byte, ops []Op, multi bool, maxData int) ([]byte, error) {
	if !multi && len(ops) != 1 || uint64(len(ops)) > math.MaxUint32 {
		return nil, opError(nil, -1, multi, ErrBadArguments)
	}
	b = appendArray(b, 2)
	b = appendBool(b, multi)
	b = appendArray(b, len(ops))
	for i, op := range ops {
		if err := check(op, maxData); err != nil {
			return nil, opError(op, i, multi, err)
		}
		switch o := op.(type) {
		case CreateOp:
			b = appendUint(appendArray(b, 6), kindCreate)
			b = appendBytes(appendString(b, o.Path, nil), o.Data)
			b = appendUint(appendUint(b, uint64(o.Mode)), uint64(o.TTL))
			b = appendBool(b, o.Parents)
		case SetOp:
			b = appendUint(appendArray(b, 4), kindSet)
			b = appendBytes(appendString(b, o.Path, nil), o.Data)
			b = appendUint(b, uint64(uint32(o.Version.plus1)))
		case DeleteOp:
			b = appendUint(appendArray(b, 4), kindDelete)
			b = appendUint(appendString(b, o.Path, nil), uint64(uint32(o.Version.plus1)))
			b = appendBool(b, o.Recursive)
		case CheckOp:
			b = appendUint(appendArray(b, 4), kindCheck)
			b = appendUint(appendString(b, o.Path, nil), uint64(uint32(o.Version.plus1)))
			b = appendUint(b, uint64(o.Czxid))
		}
	}
	return b, nil
}

// DecodeOps is the inverse of AppendOps. The Data of the ops aliases b. Whether the ops make sense is for Prepare to judge.
func DecodeOps(b []byte) (ops []Op, multi bool, err error) {
	d := decoder{b: b}
	d.expect(2)
	multi = d.bool()
	n := d.array()
	if d.bad || !multi && n != 1 {
		return nil, false, ErrCorrupt
	}
	ops = make([]Op, 0, min(n, len(d.b)/4))
	for range n {
		fields := d.array()
		var op Op
		switch kind := d.uint(); {
		case kind == kindCreate && fields == 6:
			op = CreateOp{
				Path: strings.Clone(d.path()), Data: d.bytes(math.MaxInt32), Mode: Mode(d.uintTo(math.MaxUint8)),
				TTL: time.Duration(d.uintTo(math.MaxInt64)), Parents: d.bool(),
			}
		case kind == kindSet && fields == 4:
			op = SetOp{Path: strings.Clone(d.path()), Data: d.bytes(math.MaxInt32), Version: d.version()}
		case kind == kindDelete && fields == 4:
			op = DeleteOp{Path: strings.Clone(d.path()), Version: d.version(), Recursive: d.bool()}
		case kind == kindCheck && fields == 4:
			op = CheckOp{Path: strings.Clone(d.path()), Version: d.version(), Czxid: zab.Zxid(d.uint())}
		default:
			d.fail()
		}
		if d.bad {
			return nil, false, ErrCorrupt
		}
		ops = append(ops, op)
	}
	if len(d.b) != 0 {
		return nil, false, ErrCorrupt
	}
	return ops, multi, nil
}

func (d *decoder) version() Version { return Version{int32(uint32(d.uintTo(math.MaxUint32)))} }

// expect reads the header of an array of n.
func (d *decoder) expect(n int) {
	if d.array() != n {
		d.fail()
	}
}
