// Package msgpack is the part of MessagePack that messages, requests, transactions and chunks are made of: structs as arrays, everything in its shortest
// form, numbers unsigned. The decoder accepts nothing but the shortest form, so that there is one encoding of each thing, and believes no length.
package msgpack
