package msgpack

import "encoding/binary"

// AppendUint appends v.
func AppendUint(b []byte, v uint64) []byte {
	be := binary.BigEndian
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= 0xff:
		return append(b, 0xcc, byte(v))
	case v <= 0xffff:
		return be.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= 0xffffffff:
		return be.AppendUint32(append(b, 0xce), uint32(v))
	}
	return be.AppendUint64(append(b, 0xcf), v)
}

// AppendBool appends v.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

// AppendNil appends nil.
func AppendNil(b []byte) []byte { return append(b, 0xc0) }

// AppendArray appends the header of an array of n things.
func AppendArray(b []byte, n int) []byte {
	be := binary.BigEndian
	switch {
	case n < 16:
		return append(b, 0x90|byte(n))
	case n <= 0xffff:
		return be.AppendUint16(append(b, 0xdc), uint16(n))
	}
	return be.AppendUint32(append(b, 0xdd), uint32(n))
}

// AppendString appends what head and tail are together: a path and its sequence number.
func AppendString(b []byte, head string, tail []byte) []byte {
	be := binary.BigEndian
	n := len(head) + len(tail)
	switch {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n <= 0xff:
		b = append(b, 0xd9, byte(n))
	case n <= 0xffff:
		b = be.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = be.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(append(b, head...), tail...)
}

// AppendBytes appends data, or nil for nil.
func AppendBytes(b, data []byte) []byte {
	be := binary.BigEndian
	n := len(data)
	switch {
	case data == nil:
		return AppendNil(b)
	case n <= 0xff:
		b = append(b, 0xc4, byte(n))
	case n <= 0xffff:
		b = be.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		b = be.AppendUint32(append(b, 0xc6), uint32(n))
	}
	return append(b, data...)
}
