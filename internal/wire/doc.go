// Package wire is the encoding of what members say to each other.
//
// A message is one byte for its type, one for the version of its format, and then MessagePack: structs as arrays of their
// fields, everything in its shortest form, numbers unsigned, bytes as bin. There is one encoding of each message, and
// [Decode] accepts no other, so that two members can never read one frame differently.
//
// Few types make up nearly all the traffic (see hot.go). They are encoded and decoded by hand; the rest goes through
// hashicorp/go-msgpack, and a fuzz test holds the former to the latter.
//
// Decode trusts nothing: every length is checked against the bytes that are there before memory is taken for it, nesting
// is bounded, and what it allocates is at most a small multiple of its input.
//
// # Ownership
//
// Append copies everything: the message may be let go of, and b is the caller's. What Decode returns may alias its input
// (the Data of entries and chunks, the Payload of calls), which therefore must not be modified afterwards, and stays in
// memory as long as they do. A nil []byte and an empty one are kept apart.
package wire
