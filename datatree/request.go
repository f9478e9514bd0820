package datatree

import (
	"math"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble/internal/msgpack"
	"github.com/ensemble-go/ensemble/zab"
)

// A request is the array [multi, [op, ...]]; an op is the array of its kind and its fields. A Version is written as its Int plus 1, modulo 2^32.
const (
	kindCreate = 1 // path, data, mode, ttl, parents and, unless it is nil, the ACL
	kindSet    = 2 // path, data, version
	kindDelete = 3 // path, version, recursive
	kindCheck  = 4 // path, version, czxid
	kindSetACL = 5 // path, ACL, version
	kindReap   = 6 // path, czxid, version
	kindClose  = 7 // session
)

// AppendOps appends the encoding of a request to b. What is wrong with it whatever the tree looks like is refused here with an *OpError, before
// anything is numbered or sent: malformed paths and arguments, data longer than maxData. Outside a multi there is exactly one op.
func AppendOps(b []byte, ops []Op, multi bool, maxData int) ([]byte, error) {
	if !multi && len(ops) != 1 || uint64(len(ops)) > math.MaxUint32 {
		return nil, opError("", "", -1, multi, ErrBadArguments)
	}
	b = msgpack.AppendArray(b, 2)
	b = msgpack.AppendBool(b, multi)
	b = msgpack.AppendArray(b, len(ops))
	for i, op := range ops {
		plain := plain(op)
		if plain.kind == 0 {
			return nil, misfit(op, i, multi)
		}
		if err := plain.check(maxData); err != nil {
			return nil, opError(plain.op, plain.path, i, multi, err)
		}
		switch o := op.(type) {
		case CreateOp:
			fields := 6
			if o.ACL != nil {
				fields++
			}
			b = msgpack.AppendUint(msgpack.AppendArray(b, fields), kindCreate)
			b = msgpack.AppendBytes(msgpack.AppendString(b, o.Path, nil), o.Data)
			b = msgpack.AppendUint(msgpack.AppendUint(b, uint64(o.Mode)), uint64(o.TTL))
			b = msgpack.AppendBool(b, o.Parents)
			if o.ACL != nil {
				b = appendACL(b, o.ACL)
			}
		case SetOp:
			b = msgpack.AppendUint(msgpack.AppendArray(b, 4), kindSet)
			b = msgpack.AppendBytes(msgpack.AppendString(b, o.Path, nil), o.Data)
			b = msgpack.AppendUint(b, uint64(uint32(o.Version.plus1)))
		case DeleteOp:
			b = msgpack.AppendUint(msgpack.AppendArray(b, 4), kindDelete)
			b = msgpack.AppendUint(msgpack.AppendString(b, o.Path, nil), uint64(uint32(o.Version.plus1)))
			b = msgpack.AppendBool(b, o.Recursive)
		case CheckOp:
			b = msgpack.AppendUint(msgpack.AppendArray(b, 4), kindCheck)
			b = msgpack.AppendUint(msgpack.AppendString(b, o.Path, nil), uint64(uint32(o.Version.plus1)))
			b = msgpack.AppendUint(b, uint64(o.Czxid))
		case SetACLOp:
			b = msgpack.AppendUint(msgpack.AppendArray(b, 4), kindSetACL)
			b = appendACL(msgpack.AppendString(b, o.Path, nil), o.ACL)
			b = msgpack.AppendUint(b, uint64(uint32(o.Version.plus1)))
		case ReapOp:
			b = msgpack.AppendUint(msgpack.AppendArray(b, 4), kindReap)
			b = msgpack.AppendUint(msgpack.AppendString(b, o.Path, nil), uint64(o.Czxid))
			b = msgpack.AppendUint(b, uint64(uint32(o.Version.plus1)))
		case CloseSessionOp:
			b = msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendArray(b, 2), kindClose), o.Session)
		}
	}
	return b, nil
}

// DecodeOps is the inverse of AppendOps. The Data of the ops aliases b. Whether the ops make sense is for Prepare to judge.
func DecodeOps(b []byte) (ops []Op, multi bool, err error) {
	d := decoder{msgpack.Decoder{B: b}}
	multi, n := d.request()
	ops = make([]Op, 0, min(n, len(d.B)/3))
	for i := 0; i < n && !d.Bad; i++ {
		o := d.operation()
		o.path = strings.Clone(o.path)
		cloneACL(o.acl)
		switch o.kind {
		case kindCreate:
			ops = append(ops, CreateOp{Path: o.path, Data: o.data, Mode: o.mode, TTL: o.ttl, ACL: o.acl, Parents: o.flag})
		case kindSet:
			ops = append(ops, SetOp{Path: o.path, Data: o.data, Version: o.version})
		case kindDelete:
			ops = append(ops, DeleteOp{Path: o.path, Version: o.version, Recursive: o.flag})
		case kindCheck:
			ops = append(ops, CheckOp{Path: o.path, Version: o.version, Czxid: o.czxid})
		case kindSetACL:
			ops = append(ops, SetACLOp{Path: o.path, ACL: o.acl, Version: o.version})
		case kindReap:
			ops = append(ops, ReapOp{Path: o.path, Czxid: o.czxid, Version: o.version})
		case kindClose:
			ops = append(ops, CloseSessionOp{Session: o.session})
		}
	}
	if !d.Done() {
		return nil, false, ErrCorrupt
	}
	return ops, multi, nil
}

// request reads what comes before the ops, and how many they are.
func (d *decoder) request() (multi bool, n int) {
	d.Expect(2)
	multi = d.Bool()
	if n = d.Array(); d.Bad || !multi && n != 1 {
		d.Fail()
		return false, 0
	}
	return multi, n
}

// operation reads an op. Its path, data and ACL alias the bytes.
func (d *decoder) operation() (o operation) {
	fields := d.Array()
	switch kind := d.Uint(); {
	case kind == kindCreate && (fields == 6 || fields == 7):
		o = operation{
			kind: kindCreate, op: "create", path: d.String(MaxPath), data: d.Bytes(math.MaxInt32), mode: Mode(d.UintTo(math.MaxUint8)),
			ttl: time.Duration(d.UintTo(math.MaxInt64)), flag: d.Bool(),
		}
		if fields == 7 {
			o.acl = d.acl()
		}
	case kind == kindSet && fields == 4:
		o = operation{kind: kindSet, op: "set", path: d.String(MaxPath), data: d.Bytes(math.MaxInt32), version: d.version()}
	case kind == kindDelete && fields == 4:
		o = operation{kind: kindDelete, op: "delete", path: d.String(MaxPath), version: d.version(), flag: d.Bool()}
	case kind == kindCheck && fields == 4:
		o = operation{kind: kindCheck, op: "check", path: d.String(MaxPath), version: d.version(), czxid: zab.Zxid(d.Uint())}
	case kind == kindSetACL && fields == 4:
		o = operation{kind: kindSetACL, op: "setACL", path: d.String(MaxPath), acl: d.acl(), version: d.version()}
	case kind == kindReap && fields == 4:
		o = operation{kind: kindReap, op: "reap", path: d.String(MaxPath), czxid: zab.Zxid(d.Uint()), version: d.version()}
	case kind == kindClose && fields == 2:
		o = operation{kind: kindClose, op: "closeSession", session: d.Uint()}
	default:
		d.Fail()
	}
	return o
}

// decoder reads requests, transactions and chunks.
type decoder struct{ msgpack.Decoder }

func (d *decoder) version() Version { return Version{int32(uint32(d.UintTo(math.MaxUint32)))} }
