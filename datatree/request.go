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
		return nil, opError("", "", -1, multi, ErrBadArguments)
	}
	b = appendArray(b, 2)
	b = appendBool(b, multi)
	b = appendArray(b, len(ops))
	for i, op := range ops {
		plain := plain(op)
		if err := plain.check(maxData); err != nil {
			return nil, opError(plain.op, plain.path, i, multi, err)
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
	multi, n := d.request()
	ops = make([]Op, 0, min(n, len(d.b)/4))
	for i := 0; i < n && !d.bad; i++ {
		o := d.operation()
		o.path = strings.Clone(o.path)
		switch o.kind {
		case kindCreate:
			ops = append(ops, CreateOp{Path: o.path, Data: o.data, Mode: o.mode, TTL: o.ttl, Parents: o.flag})
		case kindSet:
			ops = append(ops, SetOp{Path: o.path, Data: o.data, Version: o.version})
		case kindDelete:
			ops = append(ops, DeleteOp{Path: o.path, Version: o.version, Recursive: o.flag})
		case kindCheck:
			ops = append(ops, CheckOp{Path: o.path, Version: o.version, Czxid: o.czxid})
		}
	}
	if d.bad || len(d.b) != 0 {
		return nil, false, ErrCorrupt
	}
	return ops, multi, nil
}

// request reads what comes before the ops, and how many they are.
func (d *decoder) request() (multi bool, n int) {
	d.expect(2)
	multi = d.bool()
	if n = d.array(); d.bad || !multi && n != 1 {
		d.fail()
		return false, 0
	}
	return multi, n
}

// operation reads an op. Its path and data alias the bytes.
func (d *decoder) operation() (o operation) {
	fields := d.array()
	switch kind := d.uint(); {
	case kind == kindCreate && fields == 6:
		o = operation{
			kind: kindCreate, op: "create", path: d.path(), data: d.bytes(math.MaxInt32), mode: Mode(d.uintTo(math.MaxUint8)),
			ttl: time.Duration(d.uintTo(math.MaxInt64)), flag: d.bool(),
		}
	case kind == kindSet && fields == 4:
		o = operation{kind: kindSet, op: "set", path: d.path(), data: d.bytes(math.MaxInt32), version: d.version()}
	case kind == kindDelete && fields == 4:
		o = operation{kind: kindDelete, op: "delete", path: d.path(), version: d.version(), flag: d.bool()}
	case kind == kindCheck && fields == 4:
		o = operation{kind: kindCheck, op: "check", path: d.path(), version: d.version(), czxid: zab.Zxid(d.uint())}
	default:
		d.fail()
	}
	return o
}

func (d *decoder) version() Version { return Version{int32(uint32(d.uintTo(math.MaxUint32)))} }

// expect reads the header of an array of n.
func (d *decoder) expect(n int) {
	if d.array() != n {
		d.fail()
	}
}
